"use strict";
// Where methods and data come from, and how to cite the board.

/** A link for http(s) URLs; others, such as javascript:, stay text. */
function webLink(url, text = url) {
  const isUrl = /^https?:\/\/\S+$/.test(url || "");
  return isUrl ? el("a", { href: url, rel: "noopener noreferrer", text }) : text;
}

/** Paper, code and licence of the method of a row: links and texts, "" for what is not known. */
function methodLinks(data, row) {
  const known = data.methods?.[row.method] || {};
  const paper = known.paper || row.paper || "";
  return {
    paper: known.paper_url ? webLink(known.paper_url, paper) : webLink(paper),
    code: known.code ? webLink(known.code, known.code.replace(/^https?:\/\/(github\.com\/)?/, "")) : "",
    licence: known.licence || "",
  };
}

/** The datasets of the columns and of the pre-trainings of a board, where they are known. */
function dataOf(board, data) {
  const bases = board.columns.flatMap((column) => column.bases || [column.dataset]);
  const used = [...new Set([...bases, ...board.rows.map((row) => row.pretraining)])];
  return used.map((name) => data.data?.[name]).filter(Boolean);
}

/** Tables of the methods and the data of a board, and the BibTeX of the leaderboard. */
function sourcesSection(board, data) {
  const methods = new Map(board.rows.map((row) => [row.method, row]));
  const lines = [...methods.values()].map((row) => [row, methodLinks(data, row)]);
  const known = lines.filter(([, { paper, code, licence }]) => paper || code || licence);
  const parts = [];
  if (known.length) {
    const rows = known.map(([row, { paper, code, licence }]) =>
      [row.title, paper, code, licence].map((value) => value || NONE),
    );
    const heads = ["Method", "Paper", "Official code", "Licence of the released weights"];
    parts.push(el("h3", { text: "Methods" }), scrollBox("Methods", {}, plainTable(heads, rows)));
  }
  const sets = dataOf(board, data);
  if (sets.length) {
    const rows = sets.map(({ title, url, licence }) => [title, webLink(url), licence || NONE]);
    const table = plainTable(["Dataset", "Page", "Licence"], rows);
    parts.push(el("h3", { text: "Data" }), scrollBox("Data", {}, table));
  }
  if (data.citation?.length) {
    const bibtex = `${data.citation.join("\n")}\n`;
    const shown = el("pre", { tabindex: "0", text: bibtex });
    const copy = quietButton("Copy BibTeX", () => copyText(bibtex, shown, copy));
    parts.push(el("div", { class: "json-head" }, el("h3", { text: "Citation" }), copy), shown);
  }
  const node = section(`${board.id}-sources`, "Sources and citation", "", ...parts);
  return { node, refresh() {}, empty: !parts.length };
}
