"use strict";
// Filters and the choice of the reference, above the table.

function optionsOf(board, key, all) {
  const values = [...new Set(board.rows.map((row) => row[key]))].filter(Boolean);
  return [["", all], ...values.map((value) => [value, value])];
}

function checkbox(text, onchange) {
  const input = el("input", { type: "checkbox" });
  input.addEventListener("change", () => onchange(input.checked ? "1" : ""));
  return { input, node: el("label", { class: "check" }, input, el("span", { text })) };
}

/** Controls of one board; those with a single choice (one family, one origin) are omitted. */
function makeToolbar(board, store) {
  const fields = [];
  const setters = [];
  const addChoice = (key, text, options, current = (state) => state[key]) => {
    const select = choice(options, (value) => store.set({ [key]: value }));
    select.name = key;
    fields.push(labelled(text, select));
    setters.push((state) => {
      select.value = current(state);
      // For a value of another board, show the one in effect.
      if (select.selectedIndex < 0) select.selectedIndex = 0;
    });
  };
  const search = el("input", { type: "search", name: "q", placeholder: "Method, family, source" });
  search.addEventListener("input", () => store.set({ q: search.value }));
  fields.push(labelled("Search", search));
  setters.push((state) => {
    if (search.value !== state.q) search.value = state.q;
  });
  const few = (key) => optionsOf(board, key, "").length <= 2;
  if (!few("family")) addChoice("family", "Family", optionsOf(board, "family", "All families"));
  if (!few("pretraining")) {
    addChoice("data", "Pre-training data", optionsOf(board, "pretraining", "All data"));
  }
  if (!few("origin")) {
    addChoice("origin", "Origin", optionsOf(board, "origin", "Measured and published"));
  }
  if (board.references.length) {
    const options = board.references.map((row) => [row.id, board.label(row)]);
    addChoice("ref", "Reference of the tests", options, (state) => board.referenceOf(state).id);
  }
  const checks = [
    ["complete", checkbox("Complete rows only", (v) => store.set({ complete: v }))],
    ["ranks", checkbox("Ranks in cells", (v) => store.set({ ranks: v }))],
    ...(board.leaked
      ? [["clean", checkbox("Without known leakage", (v) => store.set({ clean: v }))]]
      : []),
  ];
  for (const [key, { input }] of checks) {
    input.name = key;
    setters.push((state) => {
      input.checked = Boolean(state[key]);
    });
  }
  const nothing = Object.fromEntries(FILTERS.map((key) => [key, ""]));
  const reset = quietButton("Show all", () => store.set(nothing));
  const shown = el("p", { class: "shown", role: "status" });
  const last = el("div", { class: "toolbar-row" }, ...checks.map(([, c]) => c.node), shown, reset);
  const first = el("div", { class: "toolbar-row" }, ...fields);
  const node = el("div", { class: "toolbar" }, first, last);
  return {
    node,
    refresh(state) {
      for (const set of setters) set(state);
      const visible = board.visible(state).length;
      shown.textContent = `${visible} of ${count(board.rows.length, "row")}`;
      reset.hidden = !FILTERS.some((key) => state[key]);
    },
  };
}
