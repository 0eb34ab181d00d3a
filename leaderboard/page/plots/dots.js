"use strict";
// Means with their intervals, one diagram per column, with the reference as a line.

const RANK = "rank";

/** Ends of the bar of a cell: its 95 % interval or, where only that is known, ± its std. */
function barOf(cell) {
  const { mean, std, ci_low: low, ci_high: high } = cell;
  if (low !== null && high !== null) return { low, high, kind: "interval" };
  return std === null ? null : { low: mean - std, high: mean + std, kind: "std" };
}

/** The rows with a value, its mean, warning and the ends of its bar, in the order of the table. */
function dotValues(board, key, rows) {
  const index = board.columnIndex.get(key);
  return rows.flatMap((row) => {
    const cell = key === RANK ? rankCell(row) : row.cells[index];
    if (!cell) return [];
    const interval = { low: cell.low, high: cell.high, kind: "interval" };
    const bar = key !== RANK ? barOf(cell) : cell.low === null ? null : interval;
    return [{ row, mean: cell.mean, warning: signsOf(cell).warning, bar }];
  });
}

/** A bar around a mean; standard deviations are thin and have ends. */
function whisker(x, y, bar, name) {
  if (bar.kind === "interval") return line(x(bar.low), y, x(bar.high), y, `whisker ${name}`);
  const ends = [bar.low, bar.high].map((end) => `M${x(end)},${y - 3}v6`);
  const d = `M${x(bar.low)},${y}H${x(bar.high)}${ends.join("")}`;
  return svg("path", { d, class: `whisker std ${name}` });
}

/** A triangle for better and worse, a diamond for the reference, otherwise a disc. */
function dotShape(x, y, name) {
  const r = 4.6;
  const shapes = {
    better: `M${x},${y - r}l${r},${1.7 * r}h${-2 * r}z`,
    worse: `M${x},${y + r}l${r},${-1.7 * r}h${-2 * r}z`,
    reference: `M${x},${y - r - 1}l${r + 1},${r + 1}l${-r - 1},${r + 1}l${-r - 1},${-r - 1}z`,
  };
  if (shapes[name]) return svg("path", { d: shapes[name], class: `dot ${name}` });
  return svg("circle", { cx: x, cy: y, r: r - 0.6, class: `dot ${name}` });
}

function familyMark(x, y, style) {
  return svg("path", { d: MARKERS[style.marker](x, y, 3.8), class: "point" });
}

/** What the marks of the average ranks say. */
function familyLegend(board) {
  const ranked = new Set(board.rows.flatMap((row) => (row.average_rank ? [row.family] : [])));
  const items = Object.entries(board.families).flatMap(([family, style]) => {
    if (!ranked.has(family)) return [];
    const size = { width: 12, height: 12, class: `series series-${style.colour}` };
    return [el("li", {}, svg("svg", size, familyMark(6, 6, style)), ` ${family}`)];
  });
  return el("ul", { class: "legend" }, ...items);
}

function dotPlot(board, key, state, width, popover) {
  const reference = board.referenceOf(state);
  const visible = new Set(board.visible(state));
  const values = dotValues(board, key, board.sorted(state).filter((row) => visible.has(row)));
  const column = board.columns[board.columnIndex.get(key)];
  const digits = column?.digits;
  const title = column ? `${column.dataset_title} ${column.label}` : "Average rank";
  const base = reference && dotValues(board, key, [reference])[0];
  const [labels, numbers, top, step] = [Math.min(170, width * 0.36), 50, 6, 19];
  const height = top + step * values.length + 30;
  if (!values.length) {
    return picture(width, 40, title, "Empty", text(0, 24, "No row has a value here.", "tick"));
  }
  const known = [...values, ...(base ? [base] : [])];
  const [low, high] = extent(known.flatMap((v) => [v.mean, v.bar?.low, v.bar?.high]), 0.04);
  const x = scale(low, high, labels + 10, width - numbers - 6);
  const bottom = top + step * values.length;
  const steps = ticks(low, high, Math.max(4, Math.floor((width - labels) / 80)));
  const gap = steps.length > 1 ? steps[1] - steps[0] : 1;
  const parts = steps.flatMap((tick) => [
    line(x(tick), top, x(tick), bottom, "grid"),
    text(x(tick), bottom + 16, tickText(tick, gap), "tick", "middle"),
  ]);
  if (base) {
    if (base.bar?.kind === "interval") {
      const [left, right] = [x(base.bar.low), x(base.bar.high)];
      const size = { x: left, y: top, width: right - left, height: bottom - top };
      parts.push(svg("rect", { ...size, class: "band" }));
    }
    parts.push(line(x(base.mean), top, x(base.mean), bottom, "reference-line"));
  }
  values.forEach(({ row, mean, warning, bar }, index) => {
    const y = top + step * (index + 0.5);
    const test = column && board.comparison(reference, row, column);
    const name = row === reference ? "reference" : test ? verdictOf(test).name : "undefined";
    const family = column ? null : board.families[row.family];
    const mark = family ? familyMark(x(mean), y, family) : dotShape(x(mean), y, name);
    const names = family ? `series series-${family.colour}` : "";
    const group = svg(
      "g",
      { class: `dot-row${row === reference ? " is-reference" : ""}` },
      svg("rect", { x: 0, y: y - step / 2, width, height: step, class: "hit" }),
      nameText(0, y + 4, board.label(row), Math.floor(labels / 6.5), "label"),
      svg("g", { class: names }, bar && whisker(x, y, bar, family ? "" : name), mark),
      text(width - 2, y + 4, fixed(mean, digits) + warning, "value", "end"),
    );
    const facts = () =>
      column ? cellFacts(board, row, board.columnIndex.get(key), reference) : rankFacts(board, row);
    group.addEventListener("pointerenter", () => popover.show(group, facts()));
    group.addEventListener("pointerleave", () => popover.hideSoon());
    parts.push(group);
  });
  const rows = count(values.length, "row");
  const description = `${rows} in the order of the table, which has all numbers.`;
  return picture(width, height, title, description, ...parts);
}

/** The diagrams of one dataset at a time, or the average rank; the filters of the table apply. */
function dotsSection(board, store, popover) {
  const scored = board.columns.filter((column) => column.score !== false);
  const shownColumns = scored.length ? scored : board.columns;
  const datasets = new Map(shownColumns.map((column) => [column.dataset, column.dataset_title]));
  const ranked = board.rows.some((row) => row.average_rank) ? [[RANK, board.rankTitle]] : [];
  const options = [...datasets, ...ranked, ["all", "All columns"]];
  const select = choice(options, (value) => store.set({ plot: value }));
  const grid = el("div", { class: "cards" });
  let cards = [];
  let shown = null;
  const keysOf = (plot, state) => {
    if (plot === RANK) return [RANK];
    const chosen = new Set(board.shown(state).map((index) => board.columns[index]));
    return shownColumns
      .filter((column) => (plot === "all" ? chosen.has(column) : column.dataset === plot))
      .map((column) => column.id);
  };
  const cardOf = (key) => {
    const column = board.columns[board.columnIndex.get(key)];
    const heading = column
      ? withUnit(`${column.dataset_title} · ${column.label}`, column.unit)
      : `${board.rankTitle}, lower is better`;
    return new Card(heading, (width) => dotPlot(board, key, store.state, width, popover), 260);
  };
  const marks = board.packed.size
    ? " ▲ better, ▼ worse, ● not separable, ○ not tested; dashed and shaded: the reference."
    : "";
  const cells = board.rows.flatMap((row) => row.cells);
  const printed = cells.some((cell) => cell && barOf(cell)?.kind === "std");
  const bars = `95 % interval${printed ? ", else ± standard deviation (thin, with ends)," : ""}`;
  const words = warningWords(cells);
  const warned = words && ` ${words}.`;
  const hint = `Mean and, where known, ${bars} of the rows that pass the filters.${marks}${warned}`;
  const legend = familyLegend(board);
  return {
    node: section(`${board.id}-dots`, "Intervals", hint, labelled("Show", select), grid, legend),
    refresh(state) {
      const plot = options.some(([value]) => value === state.plot) ? state.plot : options[0][0];
      select.value = plot;
      legend.hidden = plot !== RANK;
      const keys = keysOf(plot, state);
      if (keys.join() !== shown) {
        for (const card of cards) card.watch.disconnect();
        cards = keys.map(cardOf);
        grid.replaceChildren(...cards.map((card) => card.node));
        shown = keys.join();
      } else for (const card of cards) card.redraw();
    },
  };
}
