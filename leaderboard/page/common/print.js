"use strict";
// The page on paper: A4 and Letter, upright. Wide tables are split into blocks of columns that fit.

/** Width for content in CSS pixels: A4 is narrower than Letter, with margins of 12 mm. */
const PAPER_WIDTH = Math.floor(((210 - 2 * 12) / 25.4) * 96);

/** Columns before the scores: method, family, pre-training and rank. */
const TEXT_COLUMNS = 4;

/** [index, width] of the shown columns of a table, as wide as they are in print. */
function printedWidths(table, board, indices) {
  const measured = printedTable(table, board, indices);
  const stage = el("div", { class: "print-stage" }, measured);
  document.body.append(stage);
  const cells = [...measured.tBodies[0].rows[0].cells];
  const widths = cells.map((cell, place) => [indices[place], cell.getBoundingClientRect().width]);
  stage.remove();
  return widths;
}

/** Columns in blocks no wider than `room`; each starts with the first column, the method. */
function columnBlocks([[first, least], ...others], room) {
  const blocks = [];
  let used = room;
  for (const [index, width] of others) {
    if (used + width > room) {
      blocks.push([first]);
      used = least;
    }
    blocks.at(-1).push(index);
    used += width;
  }
  return blocks.length ? blocks : [[first]];
}

/** A copy of the head of a column with its words alone: pages that repeat heads omit buttons. */
function printedLabel(th) {
  const copy = th.cloneNode(true);
  const button = copy.querySelector("button");
  button.replaceWith(...button.childNodes);
  return copy;
}

/** The heads of the chosen columns: the texts, then the scores below the names of their datasets. */
function printedHead(table, board, indices) {
  const [top, second] = table.tHead.rows;
  const texts = indices.filter((index) => index < TEXT_COLUMNS);
  const scores = indices.filter((index) => index >= TEXT_COLUMNS).map((at) => at - TEXT_COLUMNS);
  const groups = [];
  for (const index of scores) {
    const { dataset, dataset_title: text } = board.columns[index];
    if (groups.at(-1)?.dataset !== dataset) {
      const th = el("th", { scope: "colgroup", class: "group", text });
      groups.push({ dataset, th, size: 0 });
    }
    const group = groups.at(-1);
    group.size += 1;
    group.th.colSpan = group.size;
  }
  const first = texts.map((index) => printedLabel(top.cells[index]));
  const below = scores.map((index) => printedLabel(second.cells[index]));
  const heads = [...first, ...groups.map((group) => group.th)];
  return el("thead", {}, el("tr", {}, ...heads), el("tr", {}, ...below));
}

/** A copy of the shown rows with the chosen columns, the first of which is the method. */
function printedTable(table, board, indices) {
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  const body = rows.map((row) => {
    const copy = el("tr", { class: row.className || null });
    copy.append(...indices.map((index) => row.cells[index].cloneNode(true)));
    return copy;
  });
  const names = table.tBodies[0].className || null;
  const parts = [printedHead(table, board, indices), el("tbody", { class: names }, ...body)];
  return el("table", { class: "board printed" }, ...parts);
}

/** The blocks of a table for paper; none if no row is shown. */
function printedBlocks({ firstElementChild: table, board }) {
  const row = [...table.tBodies[0].rows].find((one) => !one.hidden);
  if (!row) return [];
  const shown = [...row.cells].map((cell, index) => (cell.offsetWidth ? index : -1));
  const indices = shown.filter((index) => index >= 0);
  const blocks = columnBlocks(printedWidths(table, board, indices), PAPER_WIDTH);
  return blocks.map((block) => printedTable(table, board, block));
}

/** Prepares the page for paper, and restores it afterwards. */
function followPrinting() {
  const restore = [];
  window.addEventListener("beforeprint", () => {
    for (const box of document.querySelectorAll(".table-box")) {
      if (!box.offsetWidth) continue;
      const copies = el("div", { class: "print-only" }, ...printedBlocks(box));
      box.before(copies);
      restore.push(() => copies.remove());
    }
    for (const node of document.querySelectorAll("main details:not([open])")) {
      node.open = true;
      restore.push(() => (node.open = false));
    }
    for (const node of document.querySelectorAll("figure.card")) {
      const { card } = node;
      const { width } = card;
      if (!width) continue;
      const half = node.parentNode.matches(".cards:not(.wide)");
      card.show(half ? Math.floor((PAPER_WIDTH - 16) / 2) : PAPER_WIDTH);
      restore.push(() => card.show(width));
    }
  });
  window.addEventListener("afterprint", () => {
    while (restore.length) restore.pop()();
  });
}

followPrinting();
