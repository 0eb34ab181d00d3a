"use strict";
// Label-efficiency and scaling curves.

const STROKE = 1.9; // as .stroke in diagrams.css

// By their names in leaderboard/page/palette.py: paths around (x, y) of half the size r.
const MARKERS = {
  o: (x, y, r) => `M${x - r},${y}a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0z`,
  s: (x, y, r) => `M${x - r},${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
  "^": (x, y, r) => `M${x},${y - 1.2 * r}l${1.2 * r},${2.1 * r}h${-2.4 * r}z`,
  v: (x, y, r) => `M${x},${y + 1.2 * r}l${1.2 * r},${-2.1 * r}h${-2.4 * r}z`,
  D: (x, y, r) => `M${x},${y - 1.4 * r}L${x + 1.4 * r},${y}L${x},${y + 1.4 * r}L${x - 1.4 * r},${y}z`,
  P: (x, y, r) => plus(x, y, r, ([dx, dy]) => [dx, dy]),
  X: (x, y, r) => plus(x, y, r, ([dx, dy]) => [0.75 * (dx - dy), 0.75 * (dx + dy)]),
};

/** A filled plus sign, turned by `turn`. */
function plus(x, y, r, turn) {
  const [a, b] = [0.45 * r, 1.25 * r];
  const corners = [[a, b], [a, a], [b, a], [b, -a], [a, -a], [a, -b]];
  const all = [...corners, ...corners.map(([dx, dy]) => [-dx, -dy])];
  return `M${all.map(turn).map(([dx, dy]) => `${x + dx},${y + dy}`).join("L")}z`;
}

/** Heights of labels, at least `gap` apart, in the order of the wanted ones, above `bottom`. */
function spread(wanted, gap, bottom) {
  const order = wanted.map((y, index) => ({ y, index })).sort((a, b) => a.y - b.y);
  order.forEach((item, place) => {
    if (place) item.y = Math.max(item.y, order[place - 1].y + gap);
  });
  let limit = bottom;
  for (const item of order.reverse()) {
    item.y = Math.min(item.y, limit);
    limit = item.y - gap;
  }
  const result = [];
  for (const { y, index } of order) result[index] = y;
  return result;
}

/** One line with its markers and bars; `x` and `y` are the scales of the diagram. */
function curveLine(curve, entry, points, x, y, popover) {
  const path = points.map((p, place) => `${place ? "L" : "M"}${x(p.x)},${y(p.mean)}`).join("");
  const { colour, marker, dash } = entry.style;
  const lengths = dash.map((length) => STROKE * length).join(" ");
  const stroke = svg("path", { d: path, class: "stroke", "stroke-dasharray": lengths || "none" });
  const group = svg("g", { class: `series series-${colour}` }, stroke);
  for (const point of points) {
    const [px, py] = [x(point.x), y(point.mean)];
    if (point.std !== null) {
      group.append(line(px, y(point.mean - point.std), px, y(point.mean + point.std), "whisker"));
    }
    const mark = svg("path", { d: MARKERS[marker](px, py, 3.6), class: "point" });
    const rows = [
      ...fact(curve.x_label, xText(curve, point.x)),
      ...fact(withUnit("Mean ± std", curve.unit), plusMinus(point.mean, point.std)),
      ...fact("Seeds", `n = ${point.n}`),
    ];
    const facts = [el("h3", { text: entry.title }), factList(...rows)];
    mark.addEventListener("pointerenter", () => popover.show(mark, facts));
    mark.addEventListener("pointerleave", () => popover.hideSoon());
    group.append(mark);
  }
  return group;
}

/** A value of x as printed; some points have a name instead. */
function xText(curve, value, notation = "standard") {
  const named = (curve.ticks || []).find((tick) => tick.x === value);
  return named?.label ?? value.toLocaleString("en", { notation, maximumFractionDigits: 2 });
}

/** Ticks at the measured x; labels that would overlap the previous one are omitted. */
function curveAxis(curve, xs, x, bottom) {
  let end = -Infinity;
  return xs.flatMap((value) => {
    const label = xText(curve, value, value >= 1e4 ? "compact" : "standard");
    const half = 3.4 * label.length + 4;
    const stroke = line(x(value), bottom, x(value), bottom + 4, "axis");
    if (x(value) - half < end) return [stroke];
    end = x(value) + half;
    return [stroke, text(x(value), bottom + 18, label, "tick", "middle")];
  });
}

function curvePlot(curve, all, width, popover) {
  const lines = all
    .filter((entry) => entry.points.length)
    .map((entry) => ({ entry, points: [...entry.points].sort((a, b) => a.x - b.x) }));
  if (!lines.length) {
    const words = text(0, 24, "No line passes the filters.", "tick");
    return picture(width, 40, curve.title, "Empty", words);
  }
  const points = lines.flatMap((one) => one.points);
  const margin = Math.min(170, width * 0.3);
  const height = Math.max(260, 17 * lines.length + 60);
  const [left, top, right, bottom] = [46, 10, width - margin, height - 44];
  const log = curve.log_x && points.every((point) => point.x > 0);
  const xs = [...new Set(points.map((point) => point.x))].sort((a, b) => a - b);
  const ends = points.flatMap(({ mean, std }) => [mean - (std ?? 0), mean + (std ?? 0)]);
  const levels = curve.levels || [];
  const [low, high] = extent([...ends, ...levels.map((level) => level.mean)]);
  const x = scale(xs[0], xs.at(-1), left + 10, right - 10, log);
  const y = scale(low, high, bottom, top);
  const steps = ticks(low, high, 5);
  const gap = steps.length > 1 ? steps[1] - steps[0] : 1;
  const parts = steps.flatMap((tick) => [
    line(left, y(tick), right, y(tick), "grid"),
    text(left - 6, y(tick) + 4, tickText(tick, gap), "tick", "end"),
  ]);
  parts.push(...curveAxis(curve, xs, x, bottom), line(left, bottom, right, bottom, "axis"));
  parts.push(text((left + right) / 2, height - 6, curve.x_label, "tick", "middle"));
  for (const { title, mean } of levels) {
    parts.push(line(left, y(mean), right, y(mean), "level"));
    parts.push(text(left + 4, y(mean) - 4, `${title}: ${fixed(mean)}`, "tick"));
  }
  const heights = spread(lines.map((one) => y(one.points.at(-1).mean)), 15, bottom);
  lines.forEach(({ entry, points: known }, index) => {
    const group = curveLine(curve, entry, known, x, y, popover);
    const from = [x(known.at(-1).x) + 6, y(known.at(-1).mean)];
    const room = Math.floor((margin - 12) / 7.6);
    group.append(line(...from, right + 6, heights[index], "leader"));
    group.append(nameText(right + 10, heights[index] + 4, entry.title, room, "label"));
    parts.push(group);
  });
  const description = `${count(lines.length, "line")}; the numbers are in the table below.`;
  return picture(width, height, curve.title, description, ...parts);
}

function curveTable(curve) {
  const known = curve.lines.flatMap((entry) => entry.points.map((point) => point.x));
  const xs = [...new Set(known)].sort((a, b) => a - b);
  const rows = curve.lines.map((entry) => {
    const at = new Map(entry.points.map((point) => [point.x, point]));
    const words = (point) => (point ? plusMinus(point.mean, point.std) : NONE);
    return [entry.title, ...xs.map((value) => words(at.get(value)))];
  });
  const heads = ["Method", ...xs.map((value) => xText(curve, value))];
  return disclosure("Numbers", plainTable(heads, rows, { numbers: xs.map((_, i) => i + 1) }));
}

/** The curves of a board; lines of its rows follow the filters of the table. */
function curvesSection(board, curves, store, popover) {
  const cards = curves.map((curve) => {
    const lines = () => {
      const visible = new Set(board.visible(store.state).map((row) => row.id));
      return curve.lines.filter((entry) => !board.row.has(entry.row) || visible.has(entry.row));
    };
    const heading = withUnit(curve.title, curve.unit);
    const card = new Card(heading, (width) => curvePlot(curve, lines(), width, popover), 300);
    card.node.append(curveTable(curve));
    return card;
  });
  const grid = el("div", { class: "cards wide" }, ...cards.map((card) => card.node));
  const hint = "Mean over seeds, bars of one standard deviation. The filters of the table apply.";
  return {
    node: section(`${board.id}-curves`, "Curves", hint, grid),
    refresh() {
      for (const card of cards) card.redraw();
    },
  };
}
