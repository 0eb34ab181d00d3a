"use strict";
// Tests over datasets: each row against the reference, and the critical-difference diagram.

/** The marks of the scores in percent of two rows, which a test over datasets is about. */
function pairWarnings(boards, ids) {
  const cells = boards.flatMap(({ row, columns }) => {
    const used = (cell, index) => cell && columns[index].unit === "%";
    return ids.flatMap((id) => row.get(id)?.cells.filter(used) ?? []);
  });
  const marks = new Set(cells.flatMap((cell) => [...signsOf(cell).warning]));
  const text = [...WARNINGS.keys()].filter((mark) => marks.has(mark)).join("");
  return text && el("span", { text: ` ${text}`, title: warningWords(cells) });
}

/**
 * Tests of rows of some boards against one reference, one line each; `titleOf` maps a row id to its
 * title.
 */
function testsTable(name, boards, titleOf, { key, head }) {
  const heads = [
    ...["Method", "Datasets", "Difference", "95 % CI", "p", ...(head ? [head] : [])],
    ...["Verdict", "Columns", "p over columns"],
  ];
  const numbers = heads.map((_, index) => index).filter((index) => index && heads[index] !== "Verdict");
  const node = scrollBox(name, { class: "tests-box" });
  const show = (tests, reference) => {
    const rows = [...tests]
      .sort((a, b) => (b.difference ?? -Infinity) - (a.difference ?? -Infinity))
      .map((test) => [
        titleOf(test.row),
        `${test.n}`,
        signed(test.difference),
        interval(test.ci_low, test.ci_high, signed),
        pValue(test.p),
        ...(head ? [pValue(test[key])] : []),
        el("span", {}, verdictPill(test), pairWarnings(boards, [test.row, reference])),
        `${test.over_columns.n}`,
        pValue(test.over_columns.p),
      ]);
    const caption = `Each row against ${titleOf(reference)}`;
    const table = plainTable(heads, rows, { caption, numbers });
    const empty = el("p", { class: "hint", text: `No tests of these rows. ${caption}.` });
    node.replaceChildren(rows.length ? table : empty);
  };
  const none = (text = NO_REFERENCE) => node.replaceChildren(el("p", { class: "hint", text }));
  return { node, show, none };
}

const NO_REFERENCE = "The declared reference has no results here: choose one above the table.";

const incomplete = (title) => `No tests: ${title} has no result in some of the columns.`;

const OVERALL_HINT =
  "Paired t-test of two complete rows over datasets, on the mean of the percent columns of each:  " +
  "is an advantage consistent over datasets? Beside it the papers' test over columns, without a " +
  "verdict: columns of one dataset are correlated, so it finds spurious differences.";

/** The tests of a board over its datasets; filters and the reference are those of the table. */
function overallSection(board) {
  const titleOf = (id) => (board.row.has(id) ? board.label(board.row.get(id)) : id);
  const table = testsTable("Overall tests", [board], titleOf, board.correction);
  return {
    node: section(`${board.id}-overall`, "Overall tests", OVERALL_HINT, table.node),
    refresh(state) {
      const reference = board.referenceOf(state);
      const visible = new Set(board.visible(state).map((row) => row.id));
      if (!reference) return table.none();
      if (!board.overalls.has(reference.id)) return table.none(incomplete(board.label(reference)));
      const tests = board.overalls.get(reference.id);
      table.show(tests.filter((test) => visible.has(test.row)), reference.id);
    },
  };
}

/** The same over the datasets of several boards, against the method of the chosen reference. */
function combinedSection(board, boards, combined) {
  const titles = new Map(boards.flatMap((one) => one.rows.map((row) => [row.id, row.title])));
  // The id of a published row joined from several tables ends with its title.
  const titleOf = (id) => titles.get(id) ?? id.replace(/^published:[^:]*:/, "");
  const main = boards.filter((one) => !one.group);
  const table = testsTable(combined.title, main, titleOf, board.correction);
  const tests = new Map(Object.entries(combined.overall));
  const lead = `Overall tests over ${count(combined.columns.length, "column")} of several tasks.`;
  const node = section(`${board.id}-combined`, combined.title, lead, table.node);
  return {
    node,
    refresh(state) {
      const reference = board.referenceOf(state);
      const same = (id) => id === reference?.id || titleOf(id) === reference?.title;
      const id = [...tests.keys()].find(same);
      if (id) table.show(tests.get(id), id);
      else if (reference) table.none(incomplete(board.label(reference)));
      else table.none();
    },
  };
}

/** [{from, to}] → the level of each bar, such that bars of one level do not touch. */
function levels(bars) {
  const ends = [];
  return bars.map(({ from, to }) => {
    const free = ends.findIndex((end) => end < from);
    const level = free < 0 ? ends.length : free;
    ends[level] = to;
    return level;
  });
}

/**
 * The diagram of Demšar (JMLR 7, 2006): methods on an axis of mean ranks, best on the left; a bar
 * joins the methods of a group that are not separable.
 */
function differenceDiagram(board, reference, width) {
  const { ranks, groups, critical_difference: gap } = board.friedman;
  const methods = Object.entries(ranks)
    .map(([id, rank]) => ({ id, rank, row: board.row.get(id) }))
    .sort((a, b) => a.rank - b.rank || (a.id < b.id ? -1 : 1));
  const half = Math.ceil(methods.length / 2);
  const side = Math.min(230, width * 0.24);
  const [low, high] = [1, Math.max(2, methods.length, 1 + (gap || 0))];
  const x = scale(low, high, side + 12, width - side - 12);
  const bars = groups
    .map((group) => group.map((id) => ranks[id]))
    .map((values) => ({ from: Math.min(...values), to: Math.max(...values) }))
    .sort((a, b) => a.from - b.from);
  const placed = levels(bars);
  const axis = 58;
  const labels = axis + 22 + 9 * (Math.max(-1, ...placed) + 1);
  const step = 19;
  const parts = [line(x(low), axis, x(high), axis, "axis")];
  const whole = ticks(low, high, Math.min(high - low, 10)).filter(Number.isInteger);
  for (const tick of new Set([low, ...whole])) {
    parts.push(line(x(tick), axis - 5, x(tick), axis, "axis"));
    parts.push(text(x(tick), axis - 10, `${tick}`, "tick", "middle"));
  }
  if (gap) {
    const [from, to] = [x(low), x(low + gap)];
    parts.push(line(from, 18, to, 18, "gap"), line(from, 13, from, 23, "gap"));
    parts.push(line(to, 13, to, 23, "gap"));
    parts.push(text(from, 9, `critical difference ${fixed(gap)}`, "tick"));
  }
  methods.forEach(({ rank, row, id }, index) => {
    const left = index < half;
    const y = labels + step * (left ? index : methods.length - 1 - index);
    const edge = left ? side : width - side;
    const path = svg("path", { d: `M${x(rank)},${axis}V${y}H${edge}`, class: "stem" });
    const [out, anchor] = left ? [-1, "end"] : [1, "start"];
    const room = Math.floor((side - 52) / 6.4);
    const title = row ? board.label(row) : id;
    const name = nameText(edge + 48 * out, y + 4, title, room, "label", anchor);
    const number = text(edge + 6 * out, y + 4, fixed(rank), "value", anchor);
    const dot = svg("circle", { cx: x(rank), cy: axis, r: 3.2, class: "dot" });
    const names = row && row === reference ? "method is-reference" : "method";
    parts.push(svg("g", { class: names }, path, name, number, dot));
  });
  bars.forEach(({ from, to }, index) => {
    const y = axis + 11 + 9 * placed[index];
    parts.push(line(x(from) - 4, y, x(to) + 4, y, "group"));
  });
  const range = `from ${fixed(methods[0]?.rank)} to ${fixed(methods.at(-1)?.rank)}`;
  const joined = `${count(bars.length, "group")} of methods that are not separable`;
  const description = `${count(methods.length, "method")} by mean rank, ${range}; ${joined}.`;
  const height = labels + step * half + 4;
  return picture(width, height, "Critical-difference diagram", description, ...parts);
}

function friedmanText(friedman) {
  const { statistic, p, n, k, alpha } = friedman;
  const size = `${count(k, "row")} over ${count(n, "dataset")}`;
  const words = `Friedman χ² = ${fixed(statistic)}, ${pEquals(p)}, ${size}, α = ${alpha}.`;
  const verdict = p === null || p >= alpha
    ? " The test finds no difference between the methods: do not read an order into the diagram."
    : " A bar joins methods whose mean ranks are not separable.";
  return words + verdict + " Complete rows only; filters do not change the ranks.";
}

function friedmanSection(board) {
  let reference = null;
  const card = new Card("", (width) => differenceDiagram(board, reference, width), 660);
  const words = friedmanText(board.friedman);
  return {
    node: section(`${board.id}-ranks`, "Critical differences", words, card.node),
    refresh(state) {
      const chosen = board.referenceOf(state);
      if (chosen === reference && card.canvas.firstChild) return;
      reference = chosen;
      card.redraw();
    },
  };
}
