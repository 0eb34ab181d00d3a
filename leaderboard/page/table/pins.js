"use strict";
// Pinned rows: on top of the table whatever the filters, and side by side below it.

/** Pins or unpins a row. */
function togglePin(store, row) {
  const pins = listOf(store.state.pin);
  const others = pins.filter((id) => id !== row.id);
  const last = others.length < pins.length ? others : [...pins, row.id];
  store.set({ pin: listText(last), ...(last.length ? {} : { only: "" }) });
}

/** The line on the pinned rows: each with a button that unpins it. */
function makePins(board, store) {
  const hint = el("span", { class: "hint", text: "Tick rows to pin them on top and compare them." });
  const chips = el("span", { class: "chips" });
  const only = checkbox("Pinned rows only", (value) => store.set({ only: value }));
  only.input.name = "only";
  const compare = quietButton("Compare", () => {
    const heading = document.getElementById(`${board.id}-compare-title`);
    heading.scrollIntoView({ block: "start" });
    heading.focus({ preventScroll: true });
  });
  const none = quietButton("Unpin all", () => store.set({ pin: "", only: "" }));
  const node = el("div", { class: "toolbar-row" }, hint, chips, only.node, compare, none);
  return {
    node,
    refresh(state) {
      const rows = board.pinned(state);
      only.input.checked = Boolean(state.only);
      for (const part of [chips, only.node, none]) part.hidden = !rows.length;
      hint.hidden = rows.length > 0;
      compare.hidden = rows.length < 2;
      chips.replaceChildren(
        ...rows.map((row) => {
          const words = { "aria-label": `Unpin ${board.label(row)}` };
          return quietButton(`${board.label(row)} ×`, () => togglePin(store, row), words);
        }),
      );
    },
  };
}

/** A score with the signs of the table, and its test against the reference. */
function comparedCell(board, row, index, reference, withRank) {
  const cell = row.cells[index];
  if (!cell) return NONE;
  const { digits } = board.columns[index];
  const place = { 1: "best", 2: "second" }[cell.place] || "";
  const { rank, par, warning } = signsOf(cell, withRank);
  const score = el("span", { class: "mean", text: plusMinus(cell.mean, cell.std, digits) });
  const sign = (name, text) => text && el("span", { class: name, text });
  const signs = [sign("compared-rank", rank), sign("tier", par), sign("warning", warning)];
  const parts = [el("span", { class: place }, score, " ", ...signs.filter(Boolean))];
  const test = board.comparison(reference, row, board.columns[index]);
  if (test) {
    const { mark, name } = verdictOf(test);
    const p = test[board.correction.key];
    const chance = p === null || p === undefined ? test.verdict : pEquals(p);
    const words = `${mark} ${signed(test.difference, digits)}, ${chance}`;
    parts.push(el("span", { class: `against ${name}`, text: words }));
  }
  return el("span", { class: "compared" }, ...parts);
}

/** What is known about the rows, and their costs: lines of a term and a value per row. */
function aboutRows(board, rows, data) {
  const links = rows.map((row) => methodLinks(data, row));
  // Those that are not columns of the board.
  const own = new Set(board.columns.map((column) => column.metric));
  const further = (data.costs?.columns || []).filter(({ metric }) => !own.has(metric));
  const costs = further.map(({ label, unit, metric, digits }) => [
    withUnit(label, unit),
    rows.map((row) => {
      const known = data.costs.rows.find((cost) => cost.method === row.method);
      const value = board.competes(row) ? known?.values[metric] : null;
      return value === null || value === undefined ? "" : fixed(value, digits);
    }),
  ]);
  const about = [
    ["Family", rows.map((row) => row.family)],
    ["Pre-training", rows.map((row) => row.pretraining)],
    ["Paper", links.map(({ paper }) => paper)],
    ["Code", links.map(({ code }) => code)],
    ["Licence of the weights", links.map(({ licence }) => licence)],
    ["Source", rows.map((row) => row.source)],
  ];
  const ranks = rows.map(({ average_rank: rank }) => (rank ? plusMinus(rank.mean, rank.std) : ""));
  const known = (lines) => lines.filter(([, values]) => values.some(Boolean));
  return { about: known([...about, [board.rankTitle, ranks]]), costs: known(costs) };
}

/** Two or more pinned rows as columns, one line per shown column of the table. */
function compareSection(board, store, data) {
  const box = scrollBox("Pinned rows side by side", { class: "compare-box" });
  const hint = el("p", { class: "hint" });
  const node = section(`${board.id}-compare`, "Side by side", "", hint, box);
  const line = (term, values) => [term, ...values.map((value) => value || NONE)];
  return {
    node,
    refresh(state) {
      const rows = board.pinned(state);
      node.hidden = rows.length < 2;
      if (node.hidden) return;
      const reference = board.referenceOf(state);
      hint.textContent = reference
        ? `Below each score: its difference from ${board.label(reference)} and the p-value ` +
          `(${board.correction.name}). Bold and underlined: best and second of the whole table.`
        : "Bold and underlined: best and second of the whole table.";
      const scores = board.shown(state).map((index) => {
        const { unit } = board.columns[index];
        const cells = rows.map((row) =>
          comparedCell(board, row, index, reference, Boolean(state.ranks)),
        );
        return line(withUnit(board.column(index), unit), cells);
      });
      const { about, costs } = aboutRows(board, rows, data);
      const [first, last] = [about, costs].map((lines) => lines.map(([t, values]) => line(t, values)));
      const heads = ["", ...rows.map((row) => board.label(row))];
      box.replaceChildren(plainTable(heads, [...first, ...scores, ...last]));
    },
  };
}
