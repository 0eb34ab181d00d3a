"use strict";
// Elements and numbers. What comes from the data reaches the page as text, never as HTML.

const NONE = "\u2014";
const MINUS = "\u2212";

function build(node, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element; `props` are attributes, `text` its text, `onclick` and the like listeners. */
function el(tag, props = {}, ...children) {
  return build(document.createElement(tag), props, children);
}

/** The same for SVG. */
function svg(tag, props = {}, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

/** A heading, a line on how to read what follows, and the content, as a named region. */
function section(id, title, hint, ...children) {
  const heading = el("h2", { id: `${id}-title`, tabindex: "-1", text: title });
  const lead = hint ? el("p", { class: "hint", text: hint }) : null;
  return el("section", { id, "aria-labelledby": heading.id }, heading, lead, ...children);
}

/** A term and its value in a description list; nothing where there is no value. */
function fact(term, value) {
  if (value === null || value === undefined || value === "") return [];
  return [el("dt", { text: term }), el("dd", {}, value)];
}

/** What `fact` returns, of several facts, as a list. */
function factList(...facts) {
  return el("dl", { class: "facts" }, ...facts);
}

function quietButton(text, onclick, props = {}) {
  return el("button", { class: "quiet", type: "button", text, onclick, ...props });
}

/** Rows of text or elements, headed by their first cell; the columns `numbers` align right. */
function plainTable(heads, rows, { caption = null, numbers = [] } = {}) {
  const name = (index) => (numbers.includes(index) ? "num" : null);
  const body = rows.map(([first, ...cells]) => {
    const nodes = cells.map((cell, index) => el("td", { class: name(index + 1) }, cell));
    return el("tr", {}, el("th", { scope: "row" }, first), ...nodes);
  });
  // An empty corner heads nothing.
  const top = heads.map((text, index) =>
    text ? el("th", { scope: "col", class: name(index), text }) : el("td"),
  );
  return el(
    "table",
    { class: "plain" },
    caption && el("caption", { text: caption }),
    el("thead", {}, el("tr", {}, ...top)),
    el("tbody", {}, ...body),
  );
}

/** Content behind a line that opens it. */
function disclosure(text, content) {
  const box = scrollBox(text, {}, content);
  return el("details", { class: "numbers" }, el("summary", { text }), box);
}

function labelled(text, control) {
  return el("label", { class: "field" }, el("span", { text }), control);
}

/** A select over [value, text] pairs. */
function choice(options, onchange) {
  const nodes = options.map(([value, text]) => el("option", { value, text }));
  return el("select", { onchange: (event) => onchange(event.target.value) }, ...nodes);
}

function fixed(value, digits = 2) {
  if (value === null || value === undefined) return NONE;
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", MINUS);
}

/** With its sign, also when positive: for differences. */
function signed(value, digits = 2) {
  const text = fixed(value, digits);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

function interval(low, high, format = fixed, digits = 2) {
  return low === null || low === undefined || high === null || high === undefined
    ? NONE
    : `[${format(low, digits)}, ${format(high, digits)}]`;
}

/** Two significant digits, as in the tables; no value below 0.05 is rounded up to it. */
function pValue(p) {
  if (p === null || p === undefined) return NONE;
  if (p < 1e-300) return "<1e-300";
  if (p < 0.001) return p.toExponential(1).replace(/e-(\d)$/, "e-0$1");
  let digits = 2;
  while (p < 0.05 && Number(p.toPrecision(digits)) >= 0.05) digits += 1;
  return p.toPrecision(digits);
}

/** What a number is, with its unit if it has one. */
function withUnit(text, unit) {
  return unit ? `${text} (${unit})` : text;
}

function plusMinus(mean, std, digits = 2) {
  const spread = std === null || std === undefined ? "" : ` ± ${fixed(std, digits)}`;
  return fixed(mean, digits) + spread;
}

/** At most `length` characters, the last one an ellipsis where something was cut. */
function shorten(text, length) {
  const characters = [...text];
  return characters.length > length ? `${characters.slice(0, length - 1).join("")}…` : text;
}

function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
