"use strict";
// Boxes that scroll: within reach of the keyboard, with a sign of what is out of view.

/** Fades the sides on which a box has more content, and makes a box that scrolls a tab stop. */
function showSides(box, name) {
  const { scrollLeft: left, scrollWidth: width, clientWidth: shown } = box;
  // Zoomed pages have fractions of pixels.
  const sides = [left > 1 ? "left" : "", left + shown < width - 1 ? "right" : ""];
  box.dataset.more = sides.filter(Boolean).join(" ");
  const scrolls = width > shown + 1 || box.scrollHeight > box.clientHeight + 1;
  // The content of the box may be a tab stop itself.
  const stop = scrolls && !box.querySelector("[tabindex='0'], a, button");
  const words = stop ? { tabindex: "0", role: "group", "aria-label": name } : {};
  for (const key of ["tabindex", "role", "aria-label"]) {
    if (words[key]) box.setAttribute(key, words[key]);
    else box.removeAttribute(key);
  }
}

/** A box around content that may be wider than the page; `name` is for screen readers. */
function scrollBox(name, props = {}, ...children) {
  const box = el("div", { ...props, class: `scroll ${props.class || ""}`.trim() }, ...children);
  const show = () => showSides(box, name);
  const sizes = new ResizeObserver(show);
  for (const node of [box, ...children]) sizes.observe(node);
  new MutationObserver(show).observe(box, { childList: true });
  box.addEventListener("scroll", show, { passive: true });
  return box;
}

/** A line above a box, shown while the box has more columns than fit. */
function sidewaysHint(box, text) {
  const node = el("p", { class: "hint sideways", hidden: true, text: `${text} \u2192` });
  new ResizeObserver(() => {
    node.hidden = box.scrollWidth <= box.clientWidth + 1;
  }).observe(box);
  return node;
}

/**
 * Content that a narrow screen shows on demand, to leave the first screen to the results; on a wide
 * one it is always open.
 */
function narrowFold(text, ...children) {
  const narrow = window.matchMedia("(max-width: 720px)");
  const content = el("div", { class: "fold-content" }, ...children);
  const node = el("details", { class: "fold" }, el("summary", { text }), content);
  const adapt = () => {
    node.open = !narrow.matches;
  };
  narrow.addEventListener("change", adapt);
  adapt();
  return node;
}
