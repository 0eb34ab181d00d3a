"use strict";
// Scores against costs, with the Pareto front of the rows that pass the filters.

/** What scores can be drawn against costs: the average rank, and the columns of scores. */
function paretoScores(board) {
  const ranked = board.rows.some((row) => row.average_rank);
  const columns = board.columns.filter((column) => column.score !== false);
  return [
    ...(ranked ? [{ id: RANK, title: "Average rank", unit: "", digits: 2, rises: false }] : []),
    ...columns.map((column) => ({
      id: column.id,
      title: `${column.dataset_title} ${column.label}`,
      unit: column.unit,
      digits: column.digits,
      rises: column.higher_is_better,
    })),
  ];
}

/** {row, cost, score} of the rows with both numbers, by ascending cost, of equal cost the best. */
function paretoPoints(board, axis, score, rows) {
  const index = board.columnIndex.get(score.id);
  const points = rows.flatMap((row) => {
    const cell = score.id === RANK ? rankCell(row) : row.cells[index];
    const cost = axis.values[row.id];
    return cell && cost !== undefined ? [{ row, cost, score: cell.mean, cell }] : [];
  });
  const [cheap, good] = [axis.higher_is_better ? -1 : 1, score.rises ? -1 : 1];
  const compare = (a, b) =>
    cheap * (a.cost - b.cost) || good * (a.score - b.score) || board.gap(a.row, b.row);
  return points.sort(compare).map((point) => ({ ...point, dominators: [] }));
}

/**
 * Gives every point those that dominate it: at least as good in both numbers and better in one. A
 * point without any is on the front, and equal points are on it together.
 */
function markFront(points, axis, score) {
  const [cheap, good] = [axis.higher_is_better ? -1 : 1, score.rises ? -1 : 1];
  for (const point of points) {
    point.dominators = points.filter((other) => {
      const [cost, value] = [cheap * (other.cost - point.cost), good * (other.score - point.score)];
      return cost <= 0 && value <= 0 && (cost < 0 || value < 0);
    });
  }
  return points;
}

/** Round ticks of a logarithmic axis: powers of ten, with 2 and 5 times them where they are few. */
function logTicks(low, high) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const powers = Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index));
  const factors = last - first > 4 ? [1] : [1, 2, 5];
  const all = powers.flatMap((power) => factors.map((factor) => factor * power));
  return all.filter((tick) => tick >= low && tick <= high);
}

/** The scale of costs with its ticks, logarithmic where they span more than a decade. */
function costScale(points, left, right, wanted) {
  const costs = points.map((point) => point.cost);
  const [least, most] = [Math.min(...costs), Math.max(...costs)];
  if (least > 0 && most / least > 10) {
    const margin = (most / least) ** 0.06;
    const [low, high] = [least / margin, most * margin];
    const label = (tick) => tick.toLocaleString("en", { maximumSignificantDigits: 1 });
    return { x: scale(low, high, left, right, true), ticks: logTicks(low, high), label };
  }
  const [low, high] = extent(costs, 0.07);
  const steps = ticks(low, high, wanted);
  const gap = steps.length > 1 ? steps[1] - steps[0] : 1;
  return { x: scale(low, high, left, right), ticks: steps, label: (tick) => tickText(tick, gap) };
}

const measuring = document.createElement("canvas").getContext("2d");

/** Width of a label in pixels. */
function labelWidth(content, bold) {
  measuring.font = `${bold ? 650 : 400} 12px ${getComputedStyle(document.body).fontFamily}`;
  return measuring.measureText(content).width + 2;
}

const SIDES = [[1, 0], [-1, 0], [1, -1], [1, 1], [-1, -1], [-1, 1], [0, -1], [0, 1]];

/**
 * A place for the label of each point that covers no point, no other label and nothing of
 * `covered`, the nearest one; null where there is none.
 *
 * `points` are {x, y, width} in the order in which they choose; boxes are [left, top, right,
 * bottom], `room` is that of all.
 */
function placeLabels(points, room, covered) {
  const [half, radius] = [7, 6];
  const dots = points.map(({ x, y }) => [x - radius, y - radius, x + radius, y + radius]);
  const taken = [...covered, ...dots];
  const free = (box) =>
    box[0] >= room[0] && box[1] >= room[1] && box[2] <= room[2] && box[3] <= room[3] &&
    taken.every((o) => box[2] <= o[0] || o[2] <= box[0] || box[3] <= o[1] || o[3] <= box[1]);
  return points.map(({ x, y, width }) => {
    for (const away of [0, 10, 20, 32, 46, 62, 80]) {
      for (const [across, down] of SIDES) {
        const edge = x + across * (radius + 2 + away);
        const left = across > 0 ? edge : across < 0 ? edge - width : edge - width / 2;
        const middle = y + down * (radius + half + away);
        const box = [left, middle - half, left + width, middle + half];
        if (!free(box)) continue;
        taken.push(box);
        const end = across > 0 ? left : across < 0 ? left + width : x;
        return { left, middle, leader: away ? [end, middle - down * half * !across] : null };
      }
    }
    return null;
  });
}

/** The corners of the steps of the front: what the best score up to a cost is. */
function frontCorners(front, x, y) {
  return front.flatMap(({ cost, score }, place) => {
    const corner = place ? [[x(cost), y(front[place - 1].score)]] : [];
    return [...corner, [x(cost), y(score)]];
  });
}

/** Everything about one point. */
function paretoFacts(board, point, axis, score) {
  const { row, cell } = point;
  const names = point.dominators.map((other) => board.label(other.row));
  const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
  const [low, high] = score.id === RANK ? [cell.low, cell.high] : [cell.ci_low, cell.ci_high];
  return [
    el("h3", { text: board.label(row) }),
    factList(
      ...fact(withUnit(axis.title, axis.unit), fixed(point.cost, axis.digits)),
      ...fact(withUnit(score.title, score.unit), plusMinus(cell.mean, cell.std, score.digits)),
      ...fact("95 % interval", interval(low, high, fixed, score.digits)),
      ...fact("Pareto front", names.length ? "no" : "yes"),
      ...fact("Known leakage", cell.leakage || ""),
      ...fact("Skipped steps", cell.skipped_steps ? `${cell.skipped_steps}` : ""),
      ...fact("Dominated by", names.slice(0, 3).join(", ") + more),
    ),
  ];
}

/** Scales of the diagram, with the grid and the words of both axes; better is up. */
function paretoAxes(axis, score, points, [left, top, right, bottom], wanted) {
  const costs = costScale(points, left, right, wanted);
  const { x } = costs;
  const [low, high] = extent(points.map((point) => point.score), 0.09);
  const y = score.rises ? scale(low, high, bottom, top) : scale(low, high, top, bottom);
  const levels = ticks(low, high, 5);
  const gap = levels.length > 1 ? levels[1] - levels[0] : 1;
  const parts = levels.flatMap((tick) => [
    line(left, y(tick), right, y(tick), "grid"),
    text(left - 6, y(tick) + 4, tickText(tick, gap), "tick", "end"),
  ]);
  let end = -Infinity;
  for (const tick of costs.ticks) {
    const label = costs.label(tick);
    parts.push(line(x(tick), top, x(tick), bottom, "grid"));
    if (x(tick) - 4 * label.length < end) continue;
    end = x(tick) + 4 * label.length + 6;
    parts.push(text(x(tick), bottom + 18, label, "tick", "middle"));
  }
  parts.push(line(left, bottom, right, bottom, "axis"), line(left, top, left, bottom, "axis"));
  const cheaper = axis.higher_is_better ? "higher is better" : "lower is better";
  const below = `${withUnit(axis.title, axis.unit)}, ${cheaper}`;
  parts.push(text((left + right) / 2, bottom + 40, below, "tick", "middle"));
  const above = `${withUnit(score.title, score.unit)}${score.rises ? "" : ", better is up"}`;
  parts.push(text(0, 12, above, "tick"));
  return { x, y, parts };
}

/** The point of a row with its label, if there is a place for it. */
function paretoPoint(point, { x, y, name }, place, isReference, facts, popover) {
  const marks = [!point.dominators.length && "on-front", isReference && "is-reference"];
  const props = { class: `method ${marks.filter(Boolean).join(" ")}`, "data-row": point.row.id };
  const dot = svg("circle", { cx: x, cy: y, r: 4.2, class: "dot" });
  const label = place && text(place.left, place.middle + 4, name, "label");
  const leader = place?.leader && line(x, y, ...place.leader, "leader");
  const group = svg("g", props, leader, label, dot);
  group.addEventListener("pointerenter", () => popover.show(dot, facts()));
  group.addEventListener("pointerleave", () => popover.hideSoon());
  return group;
}

function paretoPlot(board, axis, score, points, reference, width, popover) {
  const title = `${score.title} against ${axis.title}`;
  if (!points.length) {
    const words = text(0, 24, "No row that passes the filters has both numbers.", "tick");
    return picture(Math.max(width, 330), 40, title, "Empty", words);
  }
  const narrow = width < 560;
  const height = Math.max(320, Math.min(narrow ? 640 : 520, 150 + points.length * 12));
  const box = [50, 26, width - 10, height - 46];
  const wanted = Math.max(4, Math.floor(width / 110));
  const { x, y, parts } = paretoAxes(axis, score, points, box, wanted);
  const front = points.filter((point) => !point.dominators.length);
  const corners = frontCorners(front, x, y);
  parts.push(svg("polyline", { points: corners.map(String).join(" "), class: "front" }));
  const steps = corners.slice(1).map(([px, py], place) => {
    const [fx, fy] = corners[place];
    return [Math.min(px, fx) - 1, Math.min(py, fy) - 1, Math.max(px, fx) + 1, Math.max(py, fy) + 1];
  });
  // Those on the front choose the places of their labels first.
  const order = [...front, ...points.filter((point) => point.dominators.length)];
  const labels = order.map((point) => {
    const name = shorten(board.label(point.row), narrow ? 14 : 24) + signsOf(point.cell).warning;
    const size = labelWidth(name, point.row === reference);
    return { x: x(point.cost), y: y(point.score), width: size, name };
  });
  const places = placeLabels(labels, [box[0] + 2, box[1] - 8, width, box[3]], steps);
  const groups = order.map((point, index) => {
    const facts = () => paretoFacts(board, point, axis, score);
    const isReference = point.row === reference;
    return paretoPoint(point, labels[index], places[index], isReference, facts, popover);
  });
  // Of points that lie on each other, one on the front is to be seen.
  parts.push(...groups.reverse());
  const names = front.map((point) => board.label(point.row)).join(", ");
  const description = `On the Pareto front: ${names}. The numbers are in the table below.`;
  return picture(width, height, title, description, svg("g", { class: "pareto" }, ...parts));
}

/** The diagram in words: the front, and the rows that it cannot show. */
function paretoWords(board, axis, points, visible) {
  const list = (rows) => rows.map((row) => board.label(row)).join(", ");
  const known = new Set(points.map((point) => point.row.id));
  const missing = visible.filter((row) => board.competes(row) && !known.has(row.id));
  const front = points.filter((point) => !point.dominators.length).map((point) => point.row);
  const warned = warningWords(points.map((point) => point.cell));
  const item = (term, words) =>
    el("li", {}, el("b", { text: `${term}: ` }), words);
  return [
    item("On the Pareto front", list(front) || NONE),
    ...(missing.length ? [item("Without one of the numbers", list(missing))] : []),
    item(axis.title, `${axis.definition}.`),
    ...(warned ? [el("li", { text: `${warned}.` })] : []),
  ];
}

/** The numbers of the diagram, with what dominates a row. */
function paretoTable(board, axis, score, points) {
  const rows = points.map((point) => [
    board.label(point.row),
    fixed(point.cost, axis.digits),
    fixed(point.score, score.digits) + signsOf(point.cell).warning,
    point.dominators.length ? `no, dominated by ${board.label(point.dominators[0].row)}` : "yes",
  ]);
  const heads = ["Method", withUnit(axis.title, axis.unit), withUnit(score.title, score.unit)];
  return plainTable([...heads, "On the Pareto front"], rows, { numbers: [1, 2] });
}

/** Scores against costs; nothing where a board has no costs that differ, or no scores. */
function paretoSection(board, store, popover) {
  const [axes, scores] = [board.costAxes, paretoScores(board)];
  const scoreSelect = choice(
    scores.map(({ id, title }) => [id, title]),
    (value) => store.set({ score: value === scores[0].id ? "" : value }),
  );
  const costSelect = choice(
    axes.map(({ id, title, unit }) => [id, withUnit(title, unit)]),
    (value) => store.set({ cost: value === axes[0].id ? "" : value }),
  );
  const [words, numbers] = [el("ul", { class: "notes" }), el("div", {})];
  let shown = null;
  const draw = (width) => {
    const { axis, score, points, reference } = shown;
    return paretoPlot(board, axis, score, points, reference, Math.min(width, 900), popover);
  };
  const card = new Card("", draw, 330);
  const hint =
    "A row is on the Pareto front unless another one costs no more, scores no worse, and is " +
    "better in one of the two. By the means of the rows that pass the filters: a difference of two " +
    "rows may well be chance.";
  const fields = [labelled("Score", scoreSelect), labelled("Cost", costSelect)];
  const tools = el("div", { class: "toolbar-row" }, ...fields);
  const table = disclosure("Numbers", numbers);
  return {
    node: section(`${board.id}-pareto`, "Score and cost", hint, tools, card.node, words, table),
    refresh(state) {
      const axis = axes.find(({ id }) => id === state.cost) || axes[0];
      const score = scores.find(({ id }) => id === state.score) || scores[0];
      [costSelect.value, scoreSelect.value] = [axis.id, score.id];
      const visible = board.visible(state);
      const points = markFront(paretoPoints(board, axis, score, visible), axis, score);
      shown = { axis, score, points, reference: board.referenceOf(state) };
      words.replaceChildren(...paretoWords(board, axis, points, visible));
      numbers.replaceChildren(paretoTable(board, axis, score, points));
      card.redraw();
    },
  };
}
