"use strict";
// Builds the page: header, tabs, and the sections of each board when it is first shown.

function datasetsOf(board) {
  const columns = board.columns.filter((column) => column.score !== false);
  return new Set(columns.map((column) => column.dataset));
}

/** The reference of a board as a fact: the chosen one, and the declared one if it is another. */
function referenceText(board, state, declared) {
  const chosen = board.referenceOf(state);
  if (!chosen) return board.references.length ? `${declared}, without results here` : declared;
  const standard = board.standard ? board.label(board.standard) : declared;
  const name = board.label(chosen);
  return chosen === board.standard ? name : `${name} (chosen; declared: ${standard})`;
}

/** The header: protocol, reference, and the numbers of methods, datasets and runs. */
function makeHead(data, boards) {
  // The rows of analyses are variants, not methods.
  const main = boards.filter((board) => board.group !== "analyses");
  const rows = main.flatMap((board) => board.rows);
  const methods = new Set(rows.map((row) => row.method)).size;
  const tuned = main.filter((board) => !board.group);
  const counted = tuned.length ? tuned : main;
  const datasets = new Set(counted.flatMap((board) => [...datasetsOf(board)])).size;
  const runs = data.n_runs;
  const known = rows.find((row) => row.id === data.reference || row.method === data.reference);
  const declared = known ? known.title : data.reference;
  const reference = el("span", { text: declared });
  const facts = [
    ["Protocol", data.protocol],
    ["Reference", reference],
    ["Methods", methods.toLocaleString("en")],
    ["Datasets", datasets.toLocaleString("en")],
    ["Newest record", data.newest],
    ["Runs", runs ? runs.toLocaleString("en") : "none, published numbers only"],
    ["Skipped", data.problems?.length ? count(data.problems.length, "file") : ""],
  ];
  const list = el("dl", { class: "head-facts" });
  for (const [term, value] of facts) if (value) list.append(el("div", {}, ...fact(term, value)));
  const top = el("div", { class: "head-top" }, el("h1", { text: data.title }), themeButton());
  document.getElementById("head").append(top, list);
  return (board, state) => {
    const text = board.overview ? declared : referenceText(board, state, declared);
    if (reference.textContent !== text) reference.textContent = text;
  };
}

function definitions(board) {
  const rows = board.columns.map((column) => {
    const direction = column.higher_is_better ? "higher" : "lower";
    const better = column.score === false ? NONE : direction;
    return [`${column.dataset_title} ${column.label}`, column.definition, column.unit, better];
  });
  const table = plainTable(["Column", "Definition", "Unit", "Better"], rows);
  return disclosure("Definitions of the columns", table);
}

/** Whether this board shows items of this dataset; those of no board are shown on all. */
function belongs(dataset, board, boards) {
  const main = boards.filter((other) => !other.group);
  if (!main.some((other) => datasetsOf(other).has(dataset))) return true;
  return !board.group && datasetsOf(board).has(dataset);
}

/** Curves whose id starts with that of the board; others by the dataset of their column. */
function curvesOf(data, board, boards) {
  return (data.curves || []).filter((curve) => {
    const owner = boards.find((other) => curve.id.startsWith(`${other.id}:`));
    return owner ? owner === board : belongs(curve.column.split("/")[0], board, boards);
  });
}

/** The panel of a board: all its sections that have content, and links to them. */
function makeBoard(board, boards, data, store, popover, details) {
  const parts = board.overview
    ? overviewSections(board, popover)
    : boardSections(board, boards, data, store, popover, details);
  const links = parts.map(({ node }) => {
    const heading = node.querySelector("h2");
    const button = el("button", { type: "button", text: heading.textContent });
    button.addEventListener("click", () => {
      heading.scrollIntoView({ block: "start" });
      heading.focus({ preventScroll: true });
    });
    return { button, node };
  });
  const nav = el("nav", { class: "jump", "aria-label": "Sections" }, ...links.map((l) => l.button));
  const tab = { role: "tabpanel", "aria-labelledby": tabOf(board) };
  const props = { id: `panel-${board.id}`, ...(boards.length > 1 ? tab : {}) };
  const node = el("div", props, nav, ...parts.map((part) => part.node));
  return {
    node,
    refresh(state) {
      for (const part of parts) part.refresh(state);
      for (const link of links) link.button.hidden = link.node.hidden;
    },
  };
}

/** Shows on the closed fold what the choices in it hide. */
function foldState(fold, board) {
  const summary = fold.querySelector("summary");
  const text = summary.textContent;
  return {
    refresh(state) {
      const sizes = [
        [board.visible(state).length, board.rows.length, "row"],
        [board.shown(state).length, board.columns.length, "column"],
      ];
      const partial = sizes.filter(([shown, all]) => shown < all);
      const words = partial.map(([shown, all, one]) => `${shown} of ${count(all, one)}`);
      summary.textContent = words.length ? `${text}: ${words.join(", ")}` : text;
    },
  };
}

function boardSections(board, boards, data, store, popover, details) {
  const parts = [];
  const toolbar = makeToolbar(board, store);
  const table = new RankingTable(board, store, popover, details);
  const legend = makeLegend(board);
  const fold = narrowFold("Choices and signs", toolbar.node, legend.node);
  const hint = sidewaysHint(table.node, "More columns: scroll sideways");
  const below = [makeEmptyMessage(board, store), makeExport(board, store, data)];
  const nodes = [fold, hint, table.node, ...below.map((view) => view.node)];
  const ranking = section(`${board.id}-table`, "Results", "", ...nodes);
  const views = [toolbar, legend, table, ...below, foldState(fold, board)];
  parts.push({ node: ranking, refresh: (state) => views.forEach((view) => view.refresh(state)) });
  parts.push(compareSection(board, store, data), ...detailSections(board));
  if (board.overalls.size) parts.push(overallSection(board));
  const { combined } = data;
  if (board === boards[0] && combined && Object.keys(combined.overall).length) {
    parts.push(combinedSection(board, boards, combined));
  }
  if (board.friedman) parts.push(friedmanSection(board));
  if (board.rows.length && board.columns.length) parts.push(dotsSection(board, store, popover));
  const curves = curvesOf(data, board, boards);
  if (curves.length) parts.push(curvesSection(board, curves, store, popover));
  const entries = data.gallery.filter((entry) => entry.board === board.id);
  if (entries.length) parts.push(new Viewer(board, entries, store, data.files));
  if (board.costAxes.length && paretoScores(board).length) {
    parts.push(paretoSection(board, store, popover));
  }
  if (hasCosts(board, data.costs)) parts.push(costsSection(board, data.costs));
  const sources = sourcesSection(board, data);
  if (!sources.empty) parts.push(sources);
  parts.push(notesSection(board, data));
  return parts;
}

/** Boards that share one tab: its title, and what the select for one of them is called. */
const GROUPS = {
  evaluations: { title: "Evaluations", label: "Evaluation", name: "evaluation" },
  analyses: { title: "Analyses", label: "Analysis", name: "analysis" },
};

/** The id of the tab of a board. */
function tabOf(board) {
  return `tab-${board.group || board.id}`;
}

/** One tab per task, and one for each group of boards with a select. */
function makeTabs(boards, store) {
  const makeTab = (title, number, first) => {
    const size = el("span", { class: "tab-count", text: `${number}` });
    const props = { class: "tab", type: "button", role: "tab", id: tabOf(first) };
    const tab = el("button", props, title, " ", size);
    tab.addEventListener("click", () => store.set({ board: first === boards[0] ? "" : first.id }));
    return tab;
  };
  const main = boards.filter((board) => !board.group);
  const tabs = main.map((board) => makeTab(board.title, board.rows.length, board));
  const fields = [];
  for (const [group, { title, label, name }] of Object.entries(GROUPS)) {
    const members = boards.filter((board) => board.group === group);
    if (!members.length) continue;
    tabs.push(makeTab(title, members.length, members[0]));
    if (members.length === 1) continue;
    const options = members.map((board) => [board.id, board.title]);
    const select = choice(options, (value) => store.set({ board: value }));
    select.name = name;
    const node = el("div", { class: "analyses" }, labelled(label, select));
    fields.push({ group, select, node });
  }
  const list = el("div", { class: "tabs", role: "tablist", "aria-label": "Tasks" }, ...tabs);
  list.addEventListener("keydown", (event) => {
    const place = tabs.indexOf(document.activeElement);
    const moves = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: tabs.length - 1 };
    const target = moves[event.key];
    if (place < 0 || target === undefined) return;
    const next = tabs[(target + tabs.length) % tabs.length];
    next.focus();
    next.click();
    event.preventDefault();
  });
  return {
    node: el("div", {}, list, ...fields.map(({ node }) => node)),
    refresh(current) {
      for (const { group, select, node } of fields) {
        node.hidden = current.group !== group;
        if (!node.hidden) select.value = current.id;
      }
      for (const tab of tabs) {
        tab.setAttribute("aria-selected", `${tab.id === tabOf(current)}`);
        tab.tabIndex = tab.id === tabOf(current) ? 0 : -1;
        if (tab.id !== tabOf(current)) continue;
        tab.setAttribute("aria-controls", `panel-${current.id}`);
        // On a narrow screen the row of tabs scrolls: keep the chosen one in view.
        const [left, room] = [tab.offsetLeft - list.offsetLeft, list.clientWidth - tab.offsetWidth];
        if (left < list.scrollLeft || left > list.scrollLeft + room) list.scrollLeft = left - 16;
      }
    },
  };
}

/** The boards of the page; the comparison of evaluations comes before them. */
function makeBoards(data) {
  const boards = data.boards.map((spec) => new Board(spec, data));
  if (data.overview) {
    const first = boards.findIndex((board) => board.group === "evaluations");
    const about = { id: "overview", title: "Overview", group: "evaluations", rows: [], columns: [] };
    boards.splice(first, 0, { ...about, overview: data.overview });
  }
  return boards;
}

function start() {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = read("data");
  readWords(data);
  const { entries, note } = read("gallery");
  data.gallery = entries;
  if (note) data.notes = [...(data.notes || []), note];
  data.files = new Pictures(data.pictures);
  const boards = makeBoards(data);
  const refreshHead = makeHead(data, boards);
  const main = document.getElementById("results");
  if (!boards.length) {
    main.append(el("p", { text: "There are no results yet." }));
    return;
  }
  const [store, popover, details] = [new Store(), new Popover(), new Details(data)];
  const tabs = makeTabs(boards, store);
  const unknown = el("p", { class: "hint", role: "status" });
  popover.node.before(...(boards.length > 1 ? [tabs.node] : []), unknown);
  const views = new Map();
  const show = (state) => {
    const board = boards.find((candidate) => candidate.id === state.board) || boards[0];
    popover.hide();
    unknown.hidden = !state.board || board.id === state.board;
    const asked = shorten(state.board, 60);
    unknown.textContent = unknown.hidden ? "" : `There is no board “${asked}”: this is ${board.title}.`;
    tabs.refresh(board);
    refreshHead(board, state);
    for (const [other, view] of views) view.node.hidden = other !== board;
    if (!views.has(board)) {
      views.set(board, makeBoard(board, boards, data, store, popover, details));
      popover.node.before(views.get(board).node);
    }
    views.get(board).refresh(state);
  };
  store.listen(show);
  show(store.state);
}

start();
