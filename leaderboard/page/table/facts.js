"use strict";
// The popover with the details of one number.

/** ``p = 0.012``, or ``p < 1e-300``. */
function pEquals(p) {
  return `p = ${pValue(p)}`.replace("= <", "< ");
}

/** p-values of a test: as computed, and as corrected for the verdicts. */
function pFacts(test, { key, head }) {
  return [...fact("p", pValue(test.p)), ...(head ? fact(head, pValue(test[key])) : [])];
}

/** What a score or rank has to be read with: known leakage and skipped steps. */
function warningFacts(cell, of = "") {
  return [
    ...fact(`Known leakage${of}`, cell?.leakage),
    ...fact(`Skipped steps${of}`, `${cell?.skipped_steps || ""}`),
  ];
}

/** A difference with its interval, or why it has none. */
function differenceText({ difference, ci_low: low, ci_high: high }, digits, why) {
  const known = low !== null && low !== undefined;
  const range = known ? interval(low, high, signed, digits) : `(no interval: ${why || "undefined"})`;
  return `${signed(difference, digits)} ${range}`;
}

function testFacts(test, board, index, reference) {
  const { digits } = board.columns[index];
  return [
    el("h4", {}, "Against ", el("b", { text: board.label(reference) })),
    el("p", {}, verdictPill(test)),
    factList(
      ...fact("Difference", differenceText(test, digits, test.verdict)),
      ...(verdictOf(test).name === "undefined" ? [] : pFacts(test, board.correction)),
      ...fact("Pairs", `${test.n}`),
      ...warningFacts(reference.cells[index], " of the reference"),
    ),
  ];
}

function imageFacts(images, correction) {
  if (images.difference === null) return [el("p", { text: `Per image: ${images.note || NONE}` })];
  const { n_images: n, n_clusters: clusters } = images;
  const sizes = clusters ? `${n} in ${count(clusters, "patient")}` : `${n}`;
  const unit = clusters ? "patients" : "images";
  return [
    el("h4", { text: "Per image" }),
    el("p", { class: "hint", text: `Would it hold on other ${unit}? Scores are averaged over seeds.` }),
    factList(
      ...fact("Difference", differenceText(images, 2, images.note)),
      ...pFacts(images, correction),
      ...fact("Images", sizes),
    ),
  ];
}

function seedFacts(cell, digits) {
  if (!cell.values?.length) return [];
  const items = cell.values.map((value, index) =>
    el("li", {}, el("span", { text: `seed ${cell.seeds[index]}` }), fixed(value, digits)),
  );
  return [el("ul", { class: "seeds" }, ...items)];
}

/** Interval and number of seeds; a cost has none. */
function seedNumber(cell, digits) {
  return [
    ...fact("95 % CI", interval(cell.ci_low, cell.ci_high, fixed, digits)),
    ...fact("Seeds", cell.n === null ? "not stated" : `n = ${cell.n}`),
  ];
}

/** Everything behind the cell of a row in a column, against a reference row or null. */
function cellFacts(board, row, index, reference) {
  const [cell, column] = [row.cells[index], board.columns[index]];
  const { digits } = column;
  const test = board.comparison(reference, row, column);
  const best = cell.tier === 1 ? "yes" : cell.tier === 2 ? "no" : "";
  const what = `${withUnit(board.column(index), column.unit)}, ${column.definition}`;
  return [
    el("h3", { text: board.label(row) }),
    el("p", { class: "hint", text: what }),
    factList(
      ...fact(cell.std === null ? "Value" : "Mean ± std", plusMinus(cell.mean, cell.std, digits)),
      ...(column.score === false ? [] : seedNumber(cell, digits)),
      ...fact("Rank, all rows", cell.place ? `${cell.place}` : ""),
      ...fact("Rank, complete rows", cell.rank ? `${cell.rank}` : ""),
      ...fact("Not separable from the best", best),
      ...warningFacts(cell),
    ),
    ...seedFacts(cell, digits),
    ...(test ? testFacts(test, board, index, reference) : []),
    ...(test?.per_image ? imageFacts(test.per_image, board.correction) : []),
    ...(row.source ? [el("p", { class: "hint", text: `Published: ${row.source}` })] : []),
  ];
}

/** Average rank with its bootstrap interval. */
function rankFacts(board, row) {
  const rank = rankCell(row);
  const scored = board.columns.filter((column) => column.score !== false);
  const among = `among ${count(board.ranked[0], "complete row")} of ${board.ranked[1]}`;
  const what = `Average rank over ${count(scored.length, "column")}, ${among}`;
  return [
    el("h3", { text: board.label(row) }),
    el("p", { class: "hint", text: what }),
    factList(
      ...fact("Mean ± std", plusMinus(rank.mean, rank.std)),
      ...fact("95 % over datasets", interval(rank.low, rank.high, fixed, 1)),
      ...warningFacts(rank),
    ),
  ];
}

/** One popover for the whole page; it follows the mouse and the keyboard. */
class Popover {
  constructor() {
    this.node = document.getElementById("popover");
    this.anchor = null;
    this.timer = 0;
    // The mouse may move into the popover, to press its button.
    this.node.addEventListener("pointerenter", () => clearTimeout(this.timer));
    this.node.addEventListener("pointerleave", () => this.hideSoon());
    this.node.addEventListener("focusin", () => clearTimeout(this.timer));
    this.node.addEventListener("focusout", () => this.hideSoon());
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.hide());
    window.addEventListener("scroll", () => this.follow(), { capture: true, passive: true });
    window.addEventListener("resize", () => this.hide());
  }

  show(anchor, content) {
    clearTimeout(this.timer);
    this.hide();
    this.anchor = anchor;
    anchor.setAttribute("aria-describedby", "popover");
    this.node.replaceChildren(...content);
    this.node.hidden = false;
    this.place(anchor.getBoundingClientRect());
  }

  /** Below the anchor, or above where there is no room, and always inside the window. */
  place(box) {
    const { offsetWidth: width, offsetHeight: height } = this.node;
    const room = document.documentElement.clientWidth - width - 8;
    const left = Math.max(8, Math.min(box.left + box.width / 2 - width / 2, room));
    const below = box.bottom + 6;
    const fits = below + height <= window.innerHeight - 8;
    const top = fits ? below : Math.max(8, box.top - height - 6);
    this.node.style.left = `${left}px`;
    this.node.style.top = `${top}px`;
  }

  /** Moving to a cell by keyboard scrolls the page; scrolling by hand leaves the cell. */
  follow() {
    if (!this.anchor) return;
    if (this.anchor === document.activeElement) this.place(this.anchor.getBoundingClientRect());
    else this.hide();
  }

  /** Leaves time to reach the popover, or the next cell. */
  hideSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.hide(), 160);
  }

  hide() {
    clearTimeout(this.timer);
    this.anchor?.removeAttribute("aria-describedby");
    this.anchor = null;
    this.node.hidden = true;
  }
}
