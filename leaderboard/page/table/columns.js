"use strict";
// The choice of the columns. What is hidden is in the URL, so that new columns are shown.

/** The columns that say something about a row, by the key they sort by. */
function aboutColumns(board) {
  const rank = ["rank", board.rankTitle];
  const words = [["family", "Family"], ["pretraining", "Pre-training"]];
  return board.positions.size ? [...words, rank] : words;
}

/** [key, text, [index of a column]] of each dataset, and of each metric that several have. */
function columnGroups(board) {
  const groups = (key, text) => {
    const found = new Map();
    board.columns.forEach((column, index) => {
      if (!found.has(column[key])) found.set(column[key], { text: column[text], indices: [] });
      found.get(column[key]).indices.push(index);
    });
    return [...found.values()];
  };
  const several = groups("metric", "label").filter(({ indices }) => indices.length > 1);
  return { datasets: groups("dataset", "dataset_title"), metrics: several };
}

/** A box for several columns: checked if all are shown, mixed if only some are. */
function groupBox(text, indices, board, store) {
  const box = checkbox(text, () => {
    const hidden = new Set(hiddenColumns(board, store.state));
    const all = indices.every((index) => !hidden.has(index));
    for (const index of indices) {
      if (all) hidden.add(index);
      else hidden.delete(index);
    }
    store.set({ hide: hideText(board, store.state, hidden) });
  });
  const refresh = (hidden) => {
    const shown = indices.filter((index) => !hidden.has(index)).length;
    box.input.checked = shown === indices.length;
    box.input.indeterminate = shown > 0 && shown < indices.length;
  };
  return { node: box.node, refresh };
}

function hiddenColumns(board, state) {
  const shown = new Set(board.shown(state));
  return board.columns.map((_, index) => index).filter((index) => !shown.has(index));
}

/** The hidden columns for the URL, those of other boards included; datasets as a whole. */
function hideText(board, state, hidden) {
  const own = new Set(board.columns.flatMap(({ id, dataset }) => [id, dataset]));
  const items = listOf(state.hide).filter((item) => !own.has(item));
  for (const { indices } of columnGroups(board).datasets) {
    const chosen = indices.filter((index) => hidden.has(index));
    const whole = chosen.length === indices.length;
    if (whole) items.push(board.columns[indices[0]].dataset);
    else items.push(...chosen.map((index) => board.columns[index].id));
  }
  return listText(items);
}

/** Boxes for the columns, by dataset and by metric, behind a line that opens them. */
function makeColumnChooser(board, store) {
  const boxes = [];
  const add = (box) => (boxes.push(box), box.node);
  const { datasets, metrics } = columnGroups(board);
  const names = aboutColumns(board).map(([key, text]) => {
    const box = checkbox(text, (shown) => {
      const others = listOf(store.state.hide).filter((item) => item !== key);
      store.set({ hide: listText(shown ? others : [...others, key]) });
    });
    const refresh = (_, texts) => (box.input.checked = texts.has(key));
    return add({ node: box.node, refresh });
  });
  const set = (legend, ...nodes) =>
    el("fieldset", { class: "choices" }, el("legend", { text: legend }), ...nodes);
  const sets = datasets.map(({ text, indices }) => {
    const single = indices.map((index) =>
      add(groupBox(board.columns[index].label, [index], board, store)),
    );
    const all = indices.length > 1 ? [add(groupBox("All", indices, board, store))] : [];
    return set(text, ...all, ...single);
  });
  const byMetric = metrics.map(({ text, indices }) => add(groupBox(text, indices, board, store)));
  const several = datasets.length > 1 && byMetric.length;
  const all = quietButton("All columns", () => store.set({ hide: "" }));
  const summary = el("summary", { text: "Columns" });
  const groups = [
    set("About the row", ...names),
    ...(several ? [set("All datasets", ...byMetric)] : []),
    ...sets,
  ];
  const hint =
    "Ranks, marks, tests and their corrections are always over all columns, also over hidden ones.";
  const node = el(
    "details",
    { class: "columns" },
    summary,
    el("div", { class: "columns-body" }, ...groups),
    el("p", { class: "hint", text: hint }),
    all,
  );
  return {
    node,
    refresh(state) {
      const hidden = new Set(hiddenColumns(board, state));
      const texts = board.shownTexts(state);
      for (const box of boxes) box.refresh(hidden, texts);
      const number = board.columns.length;
      summary.textContent = hidden.size
        ? `Columns: ${number - hidden.size} of ${number}`
        : `Columns: all ${number}`;
      all.hidden = !hidden.size && texts.size === aboutColumns(board).length;
    },
  };
}
