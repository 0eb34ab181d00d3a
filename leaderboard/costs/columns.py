"""Costs as columns of a board: beside its scores, neither ranked nor tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from leaderboard.board import Board, Cell, Row
from leaderboard.columns import METRICS, Column
from leaderboard.costs.values import ComparableCosts, CostRow, comparable_costs
from leaderboard.statistics import Summary

#: The dataset id of columns of costs.
COST = "cost"

#: Costs beside the scores; the table of costs has all of them.
_SHOWN = ("network_m", "step_gflops", "device_hours", "images_per_s")


def with_cost_columns(board: Board, costs: Sequence[CostRow]) -> Board:
    """The board with columns of the costs of its rows; published rows have none.

    A column only holds numbers that compare; the notes say what they were measured on, and name the
    rows that were measured on something else.
    """
    on_board = {row.method for row in board.rows if not row.context}
    known = [row for row in costs if row.method in on_board]
    shown = [one for one in comparable_costs(known) if one.metric in _SHOWN]
    if not shown:
        return board
    columns = [Column(COST, c.metric, c.definition, c.higher_is_better) for c in shown]
    rows = (
        replace(row, cells=(*row.cells, *(_cell(one, row) for one in shown))) for row in board.rows
    )
    titles = {row.method: row.title for row in known}
    return replace(
        board,
        columns=(*board.columns, *columns),
        rows=tuple(rows),
        pairs=(*board.pairs, *({} for _ in shown)),
        notes=(*board.notes, *filter(None, (_condition(one, titles) for one in shown))),
    )


def _cell(costs: ComparableCosts, row: Row) -> Cell | None:
    if row.context or row.method not in costs.values:
        return None
    summary = Summary(costs.values[row.method], None, 0)
    return Cell(summary, values={}, interval=None, place=0, rank=None, tier=None)


def _condition(costs: ComparableCosts, titles: Mapping[str, str]) -> str:
    """What a measured cost was measured on, and whose is not shown; empty where it was counted."""
    if not costs.condition:
        return ""
    names = ", ".join(titles[method] for method in costs.elsewhere)
    more = f"; not shown, as measured on something else: {names}" if names else ""
    quantity = METRICS[costs.metric]
    return f"{quantity.label} ({quantity.unit}) was measured on {costs.condition}{more}."
