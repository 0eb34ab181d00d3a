"""The curves behind the analyses: label efficiency, and what was varied along an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from leaderboard.analyses import ANALYSES, Analysis
from leaderboard.board import Board, Column, Row, label_share


def curves(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """All curves with at least two points on a line, in the order of the boards.

    Each is ``{"id", "title", "x_label", "unit", "log_x", "column", "lines"}`` and each line
    ``{"row", "title", "points": [{"x", "mean", "std", "n"}]}``, by ascending x; ``column`` is the
    id of the column whose means are the heights, ``unit`` theirs.
    """
    found = []
    declared = {analysis.id: analysis for analysis in ANALYSES}
    for board in boards:
        if board.analysis == "labels":
            found += _label_curves(board)
        elif board.analysis in declared and declared[board.analysis].x_label:
            found += _member_curves(board, declared[board.analysis])
    return [curve for curve in found if any(len(line["points"]) > 1 for line in curve["lines"])]


def _line(
    name: str, title: str, points: Sequence[tuple[Row, int, float]], published: bool
) -> dict[str, Any]:
    """`points` are (row, index of the column, x)."""
    return {
        "row": name,
        "title": f"{title} (published)" if published else title,
        "points": [
            {"x": x, "mean": cell.summary.mean, "std": cell.summary.std, "n": cell.summary.n}
            for row, index, x in sorted(points, key=lambda point: point[2])
            if (cell := row.cells[index]) is not None
        ],
    }


def _curve(
    board: Board, name: str, column: Column, x_label: str, log_x: bool, lines: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "id": f"{board.id}:{name}",
        "title": f"{board.title}, {column.label if board.analysis == 'labels' else column.title}",
        "x_label": x_label,
        "unit": column.unit,
        "log_x": log_x,
        "column": name,
        "lines": [line for line in lines if line["points"]],
    }


def _columns(board: Board, key: Callable[[Column], Any]) -> dict[Any, list[int]]:
    """Positions of the columns by a key, in their order."""
    found: dict[Any, list[int]] = {}
    for index, column in enumerate(board.columns):
        found.setdefault(key(column), []).append(index)
    return found


def _label_curves(board: Board) -> list[dict[str, Any]]:
    found = []
    groups = _columns(board, lambda c: (label_share(c.dataset)[0], c.metric))
    for (base, metric), indices in groups.items():
        shares = {index: label_share(board.columns[index].dataset)[1] for index in indices}
        lines = [
            _line(
                row.id, row.title, [(row, i, x) for i, x in shares.items()], row.source is not None
            )
            for row in board.rows
        ]
        column = board.columns[indices[0]]
        label = "Share of the labels (%)"
        found.append(_curve(board, f"{base}/{metric}", column, label, False, lines))
    return found


def _member_curves(board: Board, analysis: Analysis) -> list[dict[str, Any]]:
    """One line of what was measured here and one of what was published."""
    places = {member.method: member.x for member in analysis.members if member.x is not None}
    found = []
    for index, column in enumerate(board.columns):
        lines = []
        for published in (False, True):
            points = [
                (row, index, places[row.method])
                for row in board.rows
                if row.method in places and (row.source is not None) == published
            ]
            # The line bears the name of the method whose setting is varied along it.
            own = [row.id for row, _, _ in points if row.method == analysis.reference]
            name = own[0] if own else analysis.reference
            lines.append(_line(name, analysis.reference_title, points, published))
        found.append(_curve(board, column.id, column, analysis.x_label, analysis.log_x, lines))
    return found
