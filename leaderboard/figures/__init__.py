"""The diagrams of the page as figures for print, from the same ``leaderboard.json``.

Nothing is computed here but positions: means, intervals, tests and groups are those of the file.
matplotlib is imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Kind of figure → what it shows; %% because argparse formats its help.
KINDS = {
    "ranks": "average ranks with 95 %% intervals",
    "critical-difference": "Friedman's test and Nemenyi's critical difference",
    "datasets": "mean and 95 %% interval of every row in every column",
    "significance": "p-values and differences of every row against the reference",
    "pairs": "the same for all pairs of rows, over all columns",
    "curves": "label efficiency and scaling",
    "training": "a logged term of pre-training runs",
}


@dataclass(frozen=True)
class Choice:
    """Which part of the file is drawn, and how wide.

    Attributes:
        board: id of a board; None for the first that has what the figure shows.
        reference: row or method to compare with; None for the board's own.
        rows, columns, curves: ids; empty for all.
        width: width of the figure in mm.
    """

    board: str | None = None
    reference: str | None = None
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    curves: Sequence[str] = ()
    width: float = 180.0


def _needs(kind: str) -> tuple[Callable[[dict[str, Any]], bool], str]:
    """Whether a board has what a figure of this kind shows, and what that is."""
    return {
        "ranks": (lambda b: any(row["average_rank"] for row in b["rows"]), "average ranks"),
        "critical-difference": (lambda b: b["friedman"] is not None, "ranks of Friedman's test"),
        "datasets": (lambda b: any(any(row["cells"]) for row in b["rows"]), "numbers"),
        "significance": (lambda b: bool(b["comparisons"] or b["overall"]), "tests"),
        "pairs": (lambda b: bool(b["overall"]), "tests over all columns"),
    }[kind]


def draw(kind: str, data: dict[str, Any], choice: Choice = Choice()) -> Figure:
    """Draw a figure from the content of a ``leaderboard.json``.

    Args:
        kind: one of `KINDS` except ``training``, for which see `draw_training`.
        data: from `leaderboard.figures.board_view.read_board_data`.

    Raises:
        InputError: an unknown kind, or the file has no such board, row, column, reference or curve.
    """
    from leaderboard.figures import (
        critical_difference,
        curves,
        dot_plot,
        ranks,
        significance,
        style,
    )
    from leaderboard.figures.board_view import BoardView, choose_board

    functions = {
        "ranks": ranks.draw_ranks,
        "critical-difference": critical_difference.draw_critical_difference,
        "datasets": dot_plot.draw_dot_plot,
        "significance": significance.draw_significance,
        "pairs": significance.draw_pairs,
    }
    if kind not in {*functions, "curves"}:
        raise InputError(f"{kind}: no such figure; known: {', '.join(KINDS)}")
    with style.house_style():
        if kind == "curves":
            return curves.draw_curves(curves.choose_curves(data, choice.curves), choice.width)
        spec = choose_board(data, choice.board, *_needs(kind))
        board = BoardView(spec, data, choice.rows, choice.columns, choice.reference)
        return functions[kind](board, choice.width)


def draw_training(runs: Sequence[Path], term: str, width: float) -> Figure:
    """Draw a logged term of runs; see `leaderboard.figures.curves.draw_training`."""
    from leaderboard.figures import curves, style

    with style.house_style():
        return curves.draw_training(runs, term, width)
