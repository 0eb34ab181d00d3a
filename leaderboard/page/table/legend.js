"use strict";
// The signs of the table, as far as the reader's choice shows them, and the notes on them.

/** Marks of warnings; with †, a mark of what is not separable from the best, as in the tables. */
const [LEAKAGE, SKIPPED, PAR, RANKS] = ["‡", "§", "†", "[k]"];

/** What the marks of warnings say; the words are in the data (`readWords`). */
const WARNINGS = new Map();
/** What the counts of a leakage report count. */
const LEAKAGE_COUNTS = new Map();

/** Takes the words of the other formats from the data. */
function readWords(data) {
  for (const [mark, text] of data.warnings) WARNINGS.set(mark, text);
  for (const [name, text] of data.leakage_counts) LEAKAGE_COUNTS.set(name, text);
}

/** The leakage of a run in words, as of a cell; empty without any. */
function leakageWords(report) {
  const counts = [...LEAKAGE_COUNTS].filter(([name]) => report?.[name]);
  return counts.map(([name, text]) => `${report[name]} ${text}`).join(", ");
}

/** What the marks of the warnings about these scores say; empty without any. */
function warningWords(cells) {
  const marks = new Set(cells.flatMap((cell) => (cell ? [...signsOf(cell).warning] : [])));
  const words = [...WARNINGS].filter(([mark]) => marks.has(mark));
  return words.map(([mark, text]) => `${mark} ${text}`).join("; ");
}

/** The signs behind a score: its rank (if wanted), † and the warnings. */
function signsOf(cell, withRank = true) {
  return {
    rank: withRank && cell.rank ? `[${cell.rank}]` : "",
    par: cell.tier === 1 && cell.place > 1 ? PAR : "",
    warning: `${cell.leakage ? LEAKAGE : ""}${cell.skipped_steps ? SKIPPED : ""}`,
  };
}

/** The average rank of a row, with the warnings about its scores; null without one. */
function rankCell(row) {
  const some = (key) => (row.cells.some((cell) => cell?.[key]) ? "in some columns" : "");
  const warnings = { leakage: some("leakage"), skipped_steps: some("skipped_steps") };
  return row.average_rank && { ...row.average_rank, ...warnings };
}

/** All signs that the table shows: of the visible rows, the shown columns and the reference. */
function shownSigns(board, state) {
  const [signs, reference] = [new Set(), board.referenceOf(state)];
  const columns = board.shown(state);
  const ranked = board.shownTexts(state).has("rank");
  for (const row of board.visible(state)) {
    if (ranked && row.average_rank) for (const mark of signsOf(rankCell(row)).warning) signs.add(mark);
    for (const index of columns) {
      const cell = row.cells[index];
      if (!cell) continue;
      const { rank, par, warning } = signsOf(cell, Boolean(state.ranks));
      for (const sign of [rank && RANKS, par, ...warning]) if (sign) signs.add(sign);
      if (cell.place === 1) signs.add("best");
      if (cell.place === 2) signs.add("second");
      const test = board.comparison(reference, row, board.columns[index]);
      if (test) signs.add(verdictOf(test).mark);
    }
  }
  return signs;
}

/** What typeface and marks of the table mean; only those that it shows. */
function makeLegend(board) {
  const node = el("ul", { class: "legend" });
  return {
    node,
    refresh(state) {
      const reference = board.referenceOf(state);
      const against = reference ? board.label(reference) : "";
      const items = [
        ["best", "bold", "best", "best-sample"],
        ["second", "underlined", "second", "second-sample"],
        [RANKS, RANKS, "rank among the complete rows", "mark"],
        [PAR, PAR, "not separable from the best (Holm)", "tier"],
        ...[...WARNINGS].map(([mark, text]) => [mark, mark, text, "warning"]),
        ["▲", "▲", `better than ${against} (${board.correction.name})`, "mark better"],
        ["▼", "▼", `worse than ${against} (${board.correction.name})`, "mark worse"],
        ["≈", "≈", `not separable from ${against}`, "mark same"],
        ["·", "·", `no test against ${against}: its cell says why`, "mark undefined"],
      ];
      const signs = shownSigns(board, state);
      const shown = items.filter(([sign]) => signs.has(sign));
      node.replaceChildren(
        ...shown.map(([, sample, text, style]) =>
          el("li", {}, el("span", { class: style, text: sample }), ` ${text}`),
        ),
      );
    },
  };
}

/** A note that explains a sign starts with it: then it is shown with that sign only. */
function notesFor(signs, notes) {
  const explained = (note) => [RANKS, PAR, LEAKAGE, SKIPPED].find((sign) => note.startsWith(sign));
  return notes.filter((note) => !explained(note) || signs.has(explained(note)));
}

/** The notes of a board, of its tests against the chosen reference, and of all boards. */
function notesSection(board, data) {
  const list = (lines) => el("ul", { class: "notes" }, ...lines.map((text) => el("li", { text })));
  const own = el("ul", { class: "notes" });
  const sources = new Set(board.rows.map((row) => row.source).filter(Boolean));
  const parts = [own];
  if (sources.size) parts.push(el("h3", { text: "Published numbers" }), list([...sources]));
  if (data.problems?.length) parts.push(el("h3", { text: "Skipped files" }), list(data.problems));
  const node = section(`${board.id}-notes`, "Notes", "", ...parts, definitions(board));
  return {
    node,
    refresh(state) {
      const tests = board.referenceNotes[board.referenceOf(state)?.id] || [];
      const notes = [...(board.notes || []), ...tests, ...(data.notes || [])];
      const shown = notesFor(shownSigns(board, state), notes);
      own.replaceChildren(...shown.map((text) => el("li", { text })));
      own.hidden = !shown.length;
    },
  };
}
