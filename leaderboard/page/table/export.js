"use strict";
// The shown part of the table as text, with the numbers and signs of the tables of the other formats.

/** The rows and columns that are shown, as printed: {header, texts, rows of {text, place, signs}}. */
function shownGrid(board, state) {
  const ascii = (text) => text.replaceAll(MINUS, "-");
  const texts = board.shownTexts(state);
  const about = [["Method", (row) => row.title]];
  if (texts.has("family")) about.push(["Family", (row) => row.family]);
  if (texts.has("pretraining")) about.push(["Pre-training", (row) => row.pretraining]);
  if (board.origin === "both") about.push(["Source", (row) => row.source || "measured"]);
  const numbers = [["n", seedCounts]];
  if (texts.has("rank")) numbers.push([board.rankTitle, (row) => ascii(rankText(row))]);
  const columns = board.shown(state);
  const heads = columns.map((index) => {
    const { score, higher_is_better: higher, unit } = board.columns[index];
    const what = score === false ? (unit ? `, ${unit}` : "") : ` ${higher ? "↑" : "↓"}`;
    return board.column(index) + what;
  });
  const visible = new Set(board.visible(state));
  const rows = board.sorted(state).filter((row) => visible.has(row));
  const score = (row, index) => {
    const cell = row.cells[index];
    const { digits, score: scored } = board.columns[index];
    if (!cell) return { mean: "", std: "", place: 0, signs: "", none: scored === false ? NONE : "" };
    const { rank, par, warning } = signsOf(cell, Boolean(state.ranks));
    return {
      mean: ascii(fixed(cell.mean, digits)),
      std: cell.std === null ? "" : fixed(cell.std, digits),
      place: cell.place <= 2 ? cell.place : 0,
      signs: `${rank && ` ${rank}`}${par}${warning}`,
    };
  };
  return {
    texts: about.length,
    header: [...about, ...numbers].map(([head]) => head),
    columns: heads,
    rows: rows.map((row) => ({
      words: [...about, ...numbers].map(([, text]) => text(row) ?? ""),
      scores: columns.map((index) => score(row, index)),
    })),
  };
}

/** How many seeds the scores of a row have: "5", "3–5", or a dash where that is not stated. */
function seedCounts(row) {
  const counts = row.cells.filter((cell) => cell?.n).map((cell) => cell.n);
  if (!counts.length) return NONE;
  const [low, high] = [Math.min(...counts), Math.max(...counts)];
  return low === high ? `${low}` : `${low}–${high}`;
}

function rankText(row) {
  const rank = rankCell(row);
  if (!rank) return "";
  const between = rank.low === null ? "" : ` (${fixed(rank.low, 1)}–${fixed(rank.high, 1)})`;
  return plusMinus(rank.mean, rank.std) + between + signsOf(rank).warning;
}

/** Text that Markdown prints literally, on one line and inside one table cell. */
function markdownText(text) {
  if (!/[\\|*`~$_\]&<>]|^\s|\s\s|\s$/.test(text)) return text;
  return text
    .replace(/[\\|*`~$]/g, "\\$&")
    .replace(/(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, "\\_")
    .replace(/\](?=[([:])/g, "\\]")
    .replace(/&(?=#?[\p{L}\p{N}_]+;)/gu, "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .split(/\s+/)
    .filter(Boolean)
    .join(" ");
}

/** Text for LaTeX, with the `characters` that it does not print literally replaced. */
function latexText(text, characters) {
  return [...text].map((character) => characters[character] ?? character).join("");
}

/** A cell of a CSV file; what a spreadsheet would run as a formula starts with an apostrophe. */
function csvCell(text, isNumber = false) {
  const safe = !isNumber && /^\s*[=+\-@＝＋－＠]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function scoreText({ mean, std, none }) {
  if (none) return none;
  return std ? `${mean} ± ${std}` : mean;
}

function asMarkdown(grid, about) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  const numbers = grid.header.length - grid.texts + grid.columns.length;
  const rules = [...Array(grid.texts).fill(":--"), ...Array(numbers).fill("--:")];
  const wrap = { 0: ["", ""], 1: ["**", "**"], 2: ["<u>", "</u>"] };
  const score = (cell) => wrap[cell.place].join(markdownText(scoreText(cell))) + cell.signs;
  const rows = grid.rows.map((row) =>
    line([...row.words.map(markdownText), ...row.scores.map(score)]),
  );
  const heads = [...grid.header, ...grid.columns].map(markdownText);
  const notes = about.map((text) => `- ${markdownText(text)}`);
  return [line(heads), line(rules), ...rows, "", ...notes, ""].join("\n");
}

function asLatex(grid, about, characters) {
  const escaped = (text) => latexText(text, characters);
  const numbers = grid.header.length - grid.texts + grid.columns.length;
  const wrap = { 0: ["", ""], 1: ["\\textbf{", "}"], 2: ["\\underline{", "}"] };
  const score = (cell) => wrap[cell.place].join(escaped(scoreText(cell))) + escaped(cell.signs);
  // After {}, a name in brackets is not an option of the line break before it.
  const line = (cells) => `${/^\s*[[*]/.test(cells[0]) ? "{}" : ""}${cells.join(" & ")} \\\\`;
  const rows = grid.rows.map((row) => line([...row.words.map(escaped), ...row.scores.map(score)]));
  return [
    "% Needs \\usepackage{booktabs}.",
    ...about.map((text) => `% ${text}`),
    `\\begin{tabular}{@{}${"l".repeat(grid.texts)}${"r".repeat(numbers)}@{}}`,
    "\\toprule",
    line([...grid.header, ...grid.columns].map(escaped)),
    "\\midrule",
    ...rows,
    "\\bottomrule",
    "\\end{tabular}",
    "",
  ].join("\n");
}

/** Means, standard deviations and signs in columns of their own; empty ones are omitted. */
function asCsv(grid) {
  const parts = [["mean", ""], ["std", " std"], ["signs", " signs"]];
  const columns = grid.columns.flatMap((head, index) =>
    parts
      .filter(([part]) => part === "mean" || grid.rows.some((row) => row.scores[index][part]))
      .map(([part, name]) => ({ head: head + name, index, part })),
  );
  const rows = grid.rows.map((row) => [
    ...row.words.map((text) => csvCell(text)),
    ...columns.map(({ index, part }) => csvCell(row.scores[index][part].trim(), part !== "signs")),
  ]);
  const heads = [...grid.header, ...columns.map(({ head }) => head)].map((text) => csvCell(text));
  return [heads, ...rows].map((cells) => `${cells.join(",")}\n`).join("");
}

/**
 * Title, protocol, what is hidden, and the signs: what the exported table needs. Tests are in tables
 * of their own, as in the other formats, so their signs are not in this one.
 */
function exportNotes(board, state, data, grid) {
  const rows = `${grid.rows.length} of ${count(board.rows.length, "row")}`;
  const columns = `${grid.columns.length} of ${count(board.columns.length, "column")}`;
  const newest = data.newest ? `, newest record ${data.newest}` : "";
  const signs = shownSigns(board, state);
  return [
    `${data.title}, ${board.title}: protocol ${data.protocol}${newest}; ${rows}, ${columns}; ` +
      "ranks and marks are over all of them.",
    ...notesFor(signs, data.notes || []).filter((note) => /^(\[k\]|[†‡§]|Bold)/.test(note)),
    ...notesFor(signs, board.notes || []).filter((note) => /^([‡§]|Rows differ)/.test(note)),
  ];
}

const EXPORTS = {
  md: { name: "Markdown", type: "text/markdown", make: asMarkdown },
  tex: { name: "LaTeX", type: "application/x-tex", make: asLatex },
  csv: { name: "CSV", type: "text/csv", make: asCsv },
};

/** Saves a text as a file. */
function saveText(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Buttons that copy or save what the table shows, and that copy the link to this view. */
function makeExport(board, store, data) {
  const format = choice(Object.entries(EXPORTS).map(([key, { name }]) => [key, name]), () => {});
  format.name = "format";
  const text = () => {
    const grid = shownGrid(board, store.state);
    return EXPORTS[format.value].make(grid, exportNotes(board, store.state, data, grid), data.latex);
  };
  // Where the browser has no clipboard, the text is shown, selected, to be copied by hand.
  const shown = el("pre", { hidden: true, role: "region", "aria-label": "Text to copy" });
  const copyShown = (content, button) => {
    shown.textContent = content;
    shown.tabIndex = 0;
    copyText(content, shown, button);
  };
  const copy = quietButton("Copy table", () => copyShown(text(), copy));
  const save = quietButton("Download table", () =>
    saveText(text(), `${board.id}.${format.value}`, EXPORTS[format.value].type),
  );
  const link = quietButton("Copy link to this view", () => {
    writeHash(store.state);
    copyShown(location.href, link);
  });
  const field = labelled("Shown table as", format);
  const row = el("div", { class: "toolbar-row" }, field, copy, save, link);
  return { node: el("div", { class: "toolbar" }, row, shown), refresh: () => (shown.hidden = true) };
}
