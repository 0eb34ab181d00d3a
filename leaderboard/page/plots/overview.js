"use strict";
// What compares the evaluations, and further tables of a board.

/** A table as it is printed, with what its numbers are. */
function gridSection(id, grid) {
  const rows = grid.rows.map((cells, index) =>
    cells.map((text, column) => {
      const tag = { 1: "b", 2: "u" }[grid.places[index][column]];
      return tag ? el(tag, { text }) : text;
    }),
  );
  const numbers = grid.header.map((_, index) => index).slice(grid.n_text);
  const table = plainTable(grid.header, rows, { numbers });
  const notes = el("ul", { class: "notes" }, ...grid.notes.map((text) => el("li", { text })));
  const node = section(id, grid.title, "", scrollBox(grid.title, {}, table), notes);
  return { node, refresh() {} };
}

/** The sections of the further tables of a board. */
function detailSections(board) {
  return board.details.map((grid, index) => gridSection(`${board.id}-detail-${index}`, grid));
}

/** One point per method: frozen features against fine-tuning. */
function scatterPlot(scatter, width, popover) {
  const { points, metric, unit } = scatter;
  const height = Math.max(300, Math.min(460, width * 0.7));
  const [left, top, right, bottom] = [52, 10, width - 90, height - 46];
  const ends = (key) =>
    points.flatMap((point) => [-1, 1].map((side) => point[key] + side * (point[`${key}_std`] ?? 0)));
  const [lowX, highX] = extent(ends("frozen"), 0.08);
  const [lowY, highY] = extent(ends("fine_tuned"), 0.08);
  const [x, y] = [scale(lowX, highX, left, right), scale(lowY, highY, bottom, top)];
  const [stepsX, stepsY] = [ticks(lowX, highX, Math.floor(width / 110)), ticks(lowY, highY, 5)];
  const gap = (steps) => (steps.length > 1 ? steps[1] - steps[0] : 1);
  const parts = [
    ...stepsX.flatMap((tick) => [
      line(x(tick), top, x(tick), bottom, "grid"),
      text(x(tick), bottom + 18, tickText(tick, gap(stepsX)), "tick", "middle"),
    ]),
    ...stepsY.flatMap((tick) => [
      line(left, y(tick), right, y(tick), "grid"),
      text(left - 6, y(tick) + 4, tickText(tick, gap(stepsY)), "tick", "end"),
    ]),
    line(left, bottom, right, bottom, "axis"),
    line(left, top, left, bottom, "axis"),
  ];
  const axes = [withUnit(`${metric}, frozen, linear`, unit), withUnit("fine-tuned", unit)];
  parts.push(text((left + right) / 2, height - 6, axes[0], "tick", "middle"));
  const above = `${metric}, ${axes[1]}`;
  parts.push(text(left + 6, top + 10, above, "tick"));
  const bars = points.map((point) => {
    const [wide, high] = [point.frozen_std ?? 0, point.fine_tuned_std ?? 0];
    const [px, py] = [x(point.frozen), y(point.fine_tuned)];
    return [
      [x(point.frozen - wide), py, x(point.frozen + wide), py],
      [px, y(point.fine_tuned + high), px, y(point.fine_tuned - high)],
    ];
  });
  const labels = points.map(({ frozen, fine_tuned: tuned, title }) => {
    return { x: x(frozen), y: y(tuned), width: labelWidth(shorten(title, 18), false) };
  });
  const covered = bars.flat().map(([x1, y1, x2, y2]) => [x1 - 1, y1 - 1, x2 + 1, y2 + 1]);
  const heading = [left, top - 2, left + 8 + labelWidth(above, false), top + 14];
  const places = placeLabels(labels, [left + 2, top, width, bottom], [...covered, heading]);
  points.forEach((point, index) => {
    const [px, py] = [labels[index].x, labels[index].y];
    const dot = svg("circle", { cx: px, cy: py, r: 4, class: "dot" });
    const { left: start, middle, leader } = places[index] ?? { left: px + 9, middle: py };
    const name = nameText(start, middle + 4, point.title, 18, "label");
    const lines = [...bars[index], ...(leader ? [[px, py, ...leader]] : [])];
    const drawn = lines.map((ends) => line(...ends, "leader"));
    const group = svg("g", { class: "method", "data-method": point.method }, ...drawn, dot, name);
    const facts = [
      el("h3", { text: point.title }),
      factList(
        ...fact(withUnit("Frozen, linear", unit), plusMinus(point.frozen, point.frozen_std)),
        ...fact(withUnit("Fine-tuned", unit), plusMinus(point.fine_tuned, point.fine_tuned_std)),
      ),
    ];
    dot.addEventListener("pointerenter", () => popover.show(dot, facts));
    dot.addEventListener("pointerleave", () => popover.hideSoon());
    parts.push(group);
  });
  const description = `${count(points.length, "method")}; the numbers are in the table below.`;
  return picture(width, height, `${metric}, frozen against fine-tuned`, description, ...parts);
}

/** The sections of the tab that compares the evaluations. */
function overviewSections(board, popover) {
  const { tables, scatter } = board.overview;
  const parts = tables.map((grid, index) => gridSection(`overview-${index}`, grid));
  if (scatter) {
    const card = new Card("", (width) => scatterPlot(scatter, Math.min(width, 760), popover), 320);
    // Above the table of its numbers, which is the last one.
    parts.at(-1).node.querySelector("h2").after(card.node);
  }
  return parts;
}
