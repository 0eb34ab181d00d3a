"""Scores against costs: the Pareto front, and what a board offers for both axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from leaderboard.board import Board
from leaderboard.columns import METRICS
from leaderboard.costs.columns import COST
from leaderboard.costs.values import DEFINITIONS, HIGHER_IS_BETTER, CostRow, comparable_costs

#: Costs that published tables state beside scores.
_PUBLISHED = ("params_m", "gflops", "seconds_per_epoch", "pretraining_hours", "pretraining_images")
#: The cost to start with, the first of these that a board has.
_FIRST = ("device_hours", "step_gflops", "network_gflops", "network_m", *_PUBLISHED)


@dataclass(frozen=True, slots=True)
class CostAxis:
    """A cost that the rows of a board can be drawn against.

    Attributes:
        id: the metric, or the id of the column of the board that it is.
        title, unit, digits, definition: as those of a column.
        values: row id → value, of two or more rows that differ.
    """

    id: str
    title: str
    unit: str
    digits: int
    definition: str
    higher_is_better: bool
    values: dict[str, float] = field(hash=False)


def cost_axes(board: Board, costs: Sequence[CostRow]) -> list[CostAxis]:
    """The costs of the competing rows of a board, the one to start with first.

    Those of its own columns (published tables, adapters of LoRA) and those of its methods. A cost
    that is the same for all rows is omitted: it says nothing.
    """
    rows = [row for row in board.rows if not row.context]
    axes = []
    # Its own columns; those of `with_cost_columns` follow with all costs of the methods.
    for index, column in enumerate(board.columns):
        of_methods = column.dataset == COST and column.metric in DEFINITIONS
        if of_methods or column.metric not in (*_PUBLISHED, *DEFINITIONS):
            continue
        values = {r.id: cell.summary.mean for r in rows if (cell := r.cells[index]) is not None}
        title = column.label if column.dataset == COST else column.title
        better = column.metric in HIGHER_IS_BETTER
        about = (title, column.unit, column.digits, column.definition, better)
        axes.append(CostAxis(column.id, *about, values))
    on_board = {row.method for row in rows}
    for one in comparable_costs([row for row in costs if row.method in on_board]):
        quantity = METRICS[one.metric]
        values = {row.id: one.values[row.method] for row in rows if row.method in one.values}
        about = (quantity.label, quantity.unit, quantity.digits, one.definition)
        axes.append(CostAxis(one.metric, *about, one.higher_is_better, values))
    axes = [axis for axis in axes if len(set(axis.values.values())) > 1]

    def order(axis: CostAxis) -> int:
        metric = axis.id.rpartition("/")[2]
        return _FIRST.index(metric) if metric in _FIRST else len(_FIRST)

    return sorted(axes, key=order)


def pareto_front(
    points: Sequence[tuple[float, float]], cost_rises: bool = True, score_rises: bool = True
) -> list[bool]:
    """Whether each point is on the Pareto front.

    A point is on it unless another one is at least as good in both values and better in one; equal
    points are on it together.

    Args:
        points: (cost, score) of each row, finite.
        cost_rises: whether a higher first value costs more; images per second cost less.
        score_rises: whether a higher second value is better.
    """
    signed = [
        (cost if cost_rises else -cost, -score if score_rises else score) for cost, score in points
    ]
    on_front, best = set(), None
    # By ascending cost, of equal cost the best first: each has to beat all before it.
    for point in sorted(set(signed)):
        if best is None or point[1] < best:
            on_front.add(point)
            best = point[1]
    return [point in on_front for point in signed]
