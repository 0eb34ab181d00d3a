"""Scores against costs with the Pareto front, one point per row."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from benchmark.errors import one_of
from leaderboard.costs import pareto_front
from leaderboard.figures.board_view import (
    BoardView,
    FigureRow,
    rank_of,
    warning_of,
    warning_words,
)
from leaderboard.figures.points import PointPlot, draw_points
from leaderboard.figures.style import ACCENT, MUTED
from leaderboard.figures.text import shorten

#: On the front or not → marker; one on the front covers others.
_LOOKS = {
    True: {"color": ACCENT, "mfc": ACCENT, "zorder": 3},
    False: {"color": MUTED, "mfc": "white", "zorder": 2},
}


def draw_pareto(
    board: BoardView, cost: str | None, column: FigureRow | None, width: float
) -> list[Figure]:
    """The rows that have both numbers; better is up, as on the page.

    Args:
        cost: id of a cost of the board; None for its first.
        column: of scores; None for the average rank, or for the first column without ranks.

    Raises:
        InputError: the board has no such cost.
    """
    axes = {axis["id"]: axis for axis in board.spec["cost_axes"]}
    known = axes[one_of("--cost", cost, axes)] if cost is not None else next(iter(axes.values()))
    if column is None and not any(row["average_rank"] for row in board.rows):
        column = board.columns[0]
    cells = {row["id"]: _score(board, row, column) for row in board.rows}
    rows = [r for r in board.rows if cells[r["id"]] is not None and r["id"] in known["values"]]
    points = [(known["values"][row["id"]], cells[row["id"]]["mean"]) for row in rows]
    warnings = [warning_of(cells[row["id"]]) for row in rows]
    words = warning_words("".join(warnings))
    rises = column is not None and column["higher_is_better"]
    front = pareto_front(points, not known["higher_is_better"], rises)

    ordered = _corners([p for p, on in zip(points, front) if on], known)
    plot = PointPlot(
        points=points,
        # A mark is not cut off.
        titles=[
            shorten(board.label(row), 24) + warning if warning else board.label(row)
            for row, warning in zip(rows, warnings)
        ],
        ids=[f"{'front' if on else 'row'}:{row['id']}" for row, on in zip(rows, front)],
        **_labels(known, column),
        heading=f"{len(rows)} of {len(board.rows)} rows have both numbers",
        note="Filled: on the Pareto front. Hollow: another row costs no more, scores no worse, and "
        f"is better in one of the two. {known['title']}: {known['definition']}."
        + f" {words}."
        * bool(words),
        looks=[_LOOKS[on] for on in front],
        lines=list(itertools.pairwise(ordered)),
        prepare=lambda axis: _prepare(axis, [cost for cost, _ in points], rises),
    )
    return draw_points(plot, width)


def _score(board: BoardView, row: FigureRow, column: FigureRow | None) -> dict[str, Any] | None:
    return rank_of(row) if column is None else board.cell(row, column)


def _corners(
    front: Sequence[tuple[float, float]], cost: dict[str, Any]
) -> list[tuple[float, float]]:
    """The corners of the steps of the front: what the best score up to a cost is."""
    cheap = -1 if cost["higher_is_better"] else 1
    corners: list[tuple[float, float]] = []
    for point in sorted(set(front), key=lambda point: cheap * point[0]):
        corners += [(point[0], corners[-1][1])] if corners else []
        corners.append(point)
    return corners


def _labels(cost: dict[str, Any], column: FigureRow | None) -> dict[str, str]:
    def named(title: str, unit: str) -> str:
        return f"{title} ({unit})" if unit else title

    better = "higher" if cost["higher_is_better"] else "lower"
    x_label = f"{named(cost['title'], cost['unit'])}, {better} is better"
    if column is None:
        return {"x_label": x_label, "y_label": "Average rank, better is up"}
    y_label = named(f"{column['dataset_title']} {column['label']}", column["unit"])
    down = "" if column["higher_is_better"] else ", better is up"
    return {"x_label": x_label, "y_label": y_label + down}


def _prepare(axis: Axes, costs: Sequence[float], rises: bool) -> None:
    """Better is up; costs over more than a decade are on a logarithmic axis."""
    axis.yaxis.set_major_locator(MaxNLocator(5))
    if not rises:
        axis.invert_yaxis()
    if costs and min(costs) > 0 and max(costs) / min(costs) > 10:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(FixedLocator(log_ticks(*axis.get_xlim())))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.10g}"))


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 times them where they are few, as on the page."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1,) if last - first > 4 else (1, 2, 5)
    ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]
