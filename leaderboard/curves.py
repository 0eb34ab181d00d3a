"""The curves of the analyses: label efficiency, and what was varied along an axis."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from benchmark.results import label_share
from leaderboard.analyses import ANALYSES, Analysis, is_analysis
from leaderboard.board import Board, Row
from leaderboard.columns import Column
from leaderboard.page.palette import series_styles

#: A point of a curve: row, index of its column, x.
Point = tuple[Row, int, float]


def curves(boards: Sequence[Board]) -> list[dict[str, Any]]:
    """All curves with at least two points on a line, in the order of the boards.

    Each is ``{"id", "title", "x_label", "unit", "log_x", "column", "lines"}`` and each line
    ``{"row", "title", "style", "points": [{"x", "mean", "std", "n"}]}``, by ascending x. The means
    are those of the column with the id ``column``, in its ``unit``. Lines of one title have one
    style (`leaderboard.page.palette.series_style`) in all curves.
    """
    declared = {analysis.id: analysis for analysis in ANALYSES if analysis.x_label}
    drawn: list[dict[str, Any]] = []
    for board in boards:
        if board.analysis == "labels":
            drawn += _label_curves(board)
        elif board.analysis in declared:
            drawn += _analysis_curves(board, declared[board.analysis])
        drawn += board.curves
    drawn = [curve for curve in drawn if any(len(line["points"]) > 1 for line in curve["lines"])]
    return _styled(drawn)


def _styled(drawn: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The curves with the styles of their lines; two of one title in one curve differ by row."""
    names = []
    for curve in drawn:
        titles = Counter(line["title"] for line in curve["lines"])
        names.append(
            [
                line["title"] if titles[line["title"]] == 1 else f"{line['title']}/{line['row']}"
                for line in curve["lines"]
            ]
        )
    styles = series_styles(itertools.chain.from_iterable(names))
    return [
        {
            **curve,
            "lines": [{**line, "style": styles[name]} for line, name in zip(curve["lines"], own)],
        }
        for curve, own in zip(drawn, names)
    ]


def _line(name: str, title: str, points: Sequence[Point], published: bool) -> dict[str, Any]:
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


def _label_curves(board: Board) -> Iterator[dict[str, Any]]:
    """Per dataset and metric a line of every row over the share of the labels."""
    groups: dict[tuple[str, str], dict[int, float]] = {}
    for index, column in enumerate(board.columns):
        base, share = label_share(column.dataset)
        groups.setdefault((base, column.metric), {})[index] = share
    for (base, metric), shares in groups.items():
        lines = [
            _line(
                row.id,
                row.title,
                [(row, index, share) for index, share in shares.items()],
                row.origin == "published",
            )
            for row in board.rows
        ]
        column = board.columns[min(shares)]
        yield _curve(board, f"{base}/{metric}", column, "Share of the labels (%)", False, lines)


def _analysis_curves(board: Board, analysis: Analysis) -> Iterator[dict[str, Any]]:
    """Per column the lines of the measured rows, then those of the published rows."""
    members = {member.method: member for member in analysis.members}
    grouped: dict[tuple[str, str], list[Row]] = {}
    for origin in ("measured", "published"):
        for row in board.rows:
            if row.origin == origin and row.method in members:
                title = analysis.line_title(members[row.method])
                grouped.setdefault((origin, title), []).append(row)
    for index, column in enumerate(board.columns):
        lines = []
        for (origin, title), rows in grouped.items():
            points = [(row, index, members[row.method].x) for row in rows]
            # The line is named after the method whose setting is varied along it.
            method = next((row for row in rows if not is_analysis(row.method)), rows[0])
            lines.append(_line(method.id, title, points, origin == "published"))
        yield _curve(board, column.id, column, analysis.x_label, analysis.log_x, lines)
