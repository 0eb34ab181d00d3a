"use strict";
// Shared by the diagrams: scales, ticks, and cards that follow the width of the page.

/** About `wanted` round ticks (1, 2 or 5 times a power of ten) between low and high. */
function ticks(low, high, wanted = 5) {
  const raw = (high - low || 1) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

/** A function from low … high to from … to; logarithmic on request. */
function scale(low, high, from, to, log = false) {
  const map = log ? Math.log10 : (value) => value;
  const [a, b] = [map(low), map(high)];
  return (value) => (a === b ? (from + to) / 2 : from + ((map(value) - a) / (b - a)) * (to - from));
}

/** Smallest and largest of the numbers, with a margin of `share` on both sides. */
function extent(values, share = 0.05) {
  const known = values.filter((value) => value !== null && value !== undefined);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const margin = (high - low || Math.abs(high) || 1) * share;
  return [low - margin, high + margin];
}

/** With the fewest decimals that distinguish the ticks. */
function tickText(value, step) {
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return fixed(value, digits);
}

/** An SVG picture with a title and a description for screen readers. */
function picture(width, height, title, description, ...children) {
  const words = { role: "img", "aria-label": `${title}. ${description}` };
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  return svg("svg", { class: "plot", ...words, ...size }, ...children);
}

function line(x1, y1, x2, y2, name) {
  return svg("line", { x1, y1, x2, y2, class: name });
}

function text(x, y, content, name = "", anchor = "start") {
  return svg("text", { x, y, class: name, "text-anchor": anchor, text: content });
}

/** A label of at most `length` characters, complete on hover. */
function nameText(x, y, content, length, name, anchor) {
  const node = text(x, y, shorten(content, length), name, anchor);
  node.append(svg("title", { text: content }));
  return node;
}

/**
 * A card whose drawing follows its width: `draw(width)` returns an SVG and is called again when the
 * card is shown or resized; call `redraw` after a change of the data.
 */
class Card {
  constructor(title, draw, least = 280) {
    this.draw = draw;
    this.least = least;
    this.width = 0;
    this.canvas = scrollBox(title || "Diagram");
    const heading = title ? el("figcaption", { text: title }) : null;
    this.node = el("figure", { class: "card" }, heading, this.canvas);
    this.node.card = this;
    this.watch = new ResizeObserver(() => {
      const width = this.canvas.clientWidth;
      if (width && width !== this.width) this.show(width);
    });
    this.watch.observe(this.canvas);
  }

  show(width) {
    this.width = width;
    this.redraw();
  }

  redraw() {
    if (this.width) this.canvas.replaceChildren(this.draw(Math.max(this.width, this.least)));
  }
}
