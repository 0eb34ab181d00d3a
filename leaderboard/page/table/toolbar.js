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

/** What to say where no row passes the filters; empty where one does. */
function emptyText(board, state) {
  if (board.passing(state).length || (state.only && board.pinned(state).length)) return "";
  const words = state.q.trim();
  if (!words) return ": none passes these filters";
  const alone = board.passing({ ...DEFAULTS, q: state.q }).length;
  if (!alone) return `: nothing matches “${words}”`;
  return `: what matches “${words}” (${count(alone, "row")}) does not pass the other filters`;
}

/** Below a table without rows: why it is empty, and the way back. */
function makeEmptyMessage(board, store) {
  const text = el("span", {});
  const search = quietButton("Clear the search", () => store.set({ q: "" }));
  const all = quietButton("Show all rows", () => store.set(NO_FILTERS));
  const node = el("div", { class: "empty toolbar-row" }, text, search, all);
  return {
    node,
    refresh(state) {
      const words = emptyText(board, state).replace(/^: /, "");
      node.hidden = !words;
      text.textContent = words && `${words[0].toUpperCase()}${words.slice(1)}.`;
      search.hidden = !state.q;
    },
  };
}

/** Controls of one board; those with a single choice (one family, one origin) are omitted. */
function makeToolbar(board, store) {
  const fields = [];
  const setters = [];
  const addChoice = (key, text, options, current = (state) => state[key], standard = "") => {
    // The default is not in the URL.
    const select = choice(options, (value) => store.set({ [key]: value === standard ? "" : value }));
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
    // Without results of the declared reference nothing is tested, until the reader chooses one.
    if (!board.standard) options.unshift(["", "None: the declared one has no results"]);
    const current = (state) => board.referenceOf(state)?.id ?? "";
    addChoice("ref", "Reference of the tests", options, current, board.standard?.id);
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
  const reset = quietButton("Show all", () => store.set(NO_FILTERS));
  const shown = el("p", { class: "shown", role: "status" });
  const last = el("div", { class: "toolbar-row" }, ...checks.map(([, c]) => c.node), shown, reset);
  const first = el("div", { class: "toolbar-row" }, ...fields);
  const parts = [makeColumnChooser(board, store), makePins(board, store)];
  const node = el("div", { class: "toolbar" }, first, last, ...parts.map((part) => part.node));
  return {
    node,
    refresh(state) {
      for (const part of parts) part.refresh(state);
      for (const set of setters) set(state);
      const visible = board.visible(state).length;
      const number = `${visible} of ${count(board.rows.length, "row")}`;
      shown.textContent = `${number}${emptyText(board, state)}`;
      reset.hidden = !FILTERS.some((key) => state[key]);
    },
  };
}
