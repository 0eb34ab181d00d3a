"""The diagrams of the page as figures for print, from the same ``leaderboard.json``.

Nothing is computed here but places on paper: means, intervals, tests and groups are those of the
file. matplotlib is loaded when something is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Kind of figure → what it shows.
KINDS = {
    "ranks": "average ranks with 95 %% intervals",
    "critical-difference": "Friedman's test and Nemenyi's critical difference",
    "datasets": "mean and 95 %% interval of every row in every column",
    "significance": "p-values and differences of every row against the reference",
    "pairs": "the same for all pairs of rows, over all columns",
    "curves": "label efficiency and scaling",
    "training": "a term of the logs of pre-training runs",
}


@dataclass(frozen=True)
class Choice:
    """What of the file is drawn, and how wide.

    Attributes:
        board: id of a board; None for the first that has what the figure shows.
        reference: row or method everything is compared with; None for the board's own.
        rows, columns, curves: ids; all of them without any.
        width: of the figure in mm.
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
        kind: one of `KINDS` but ``training``, which is drawn by `draw_training`.
        data: from `leaderboard.figures.reading.read_board_data`.

    Raises:
        InputError: another kind, or the file has no such board, row, column, reference or section.
    """
    from leaderboard.figures import curves, differences, dots, ranks, significance, style
    from leaderboard.figures.reading import BoardView, choose_board

    drawings = {
        "ranks": ranks.draw_ranks,
        "critical-difference": differences.draw_differences,
        "datasets": dots.draw_dots,
        "significance": significance.draw_significance,
        "pairs": significance.draw_pairwise,
    }
    if kind not in {*drawings, "curves"}:
        raise InputError(f"{kind}: no such figure; known: {', '.join(KINDS)}")
    with style.house_style():
        if kind == "curves":
            return curves.draw_curves(curves.choose_curves(data, choice.curves), choice.width)
        spec = choose_board(data, choice.board, *_needs(kind))
        board = BoardView(spec, data, choice.rows, choice.columns, choice.reference)
        return drawings[kind](board, choice.width)


def draw_training(runs: Sequence[Path], term: str, width: float) -> Figure:
    """Draw a term of the logs of runs; see `leaderboard.figures.curves.draw_training`."""
    from leaderboard.figures import curves, style

    with style.house_style():
        return curves.draw_training(runs, term, width)
