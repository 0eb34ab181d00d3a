"""The diagrams of the page as figures for print, from the same ``leaderboard.json``.

Nothing is computed here but positions: means, intervals, tests and groups are those of the file.
matplotlib is imported when something is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Kind of figure → what it shows; %% because argparse formats its help.
KINDS = {
    "ranks": "average ranks with 95 %% intervals",
    "critical-difference": "Friedman's test and Nemenyi's critical difference",
    "datasets": "mean and 95 %% interval of every row in every column",
    "significance": "p-values and differences of every row against the reference",
    "pairs": "the same for all pairs of rows, over datasets",
    "curves": "label efficiency, few labels, corruptions and scaling",
    "costs": "scores against costs, with the Pareto front",
    "frozen": "scores of frozen features against those after fine-tuning",
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
        cost: id of a cost; None for the first of the board.
    """

    board: str | None = None
    reference: str | None = None
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    curves: Sequence[str] = ()
    width: float = 180.0
    cost: str | None = None


def draw(kind: str, data: dict[str, Any], choice: Choice = Choice()) -> list[Figure]:
    """Draw a figure from the content of a ``leaderboard.json``, in parts no higher than a page.

    Args:
        kind: one of `KINDS` except ``training``, for which see `draw_training`.
        data: from `leaderboard.figures.board_view.read_board_data`.

    Raises:
        InputError: the file has no such board, row, column, reference or curve.
    """
    from leaderboard.figures import curves, scatter, significance, style
    from leaderboard.figures.board_view import BoardView, choose_board
    from leaderboard.figures.critical_difference import draw_critical_difference
    from leaderboard.figures.dot_plot import draw_dot_plot
    from leaderboard.figures.pareto import draw_pareto
    from leaderboard.figures.ranks import draw_ranks

    # Kind → the function, whether a board has what it shows, and what that is.
    figures: dict[str, tuple[Callable, Callable[[dict[str, Any]], Any], str]] = {
        "ranks": (
            draw_ranks,
            lambda b: any(row["average_rank"] for row in b["rows"]),
            "average ranks",
        ),
        "critical-difference": (
            draw_critical_difference,
            lambda b: b["friedman"],
            "ranks of Friedman's test",
        ),
        "datasets": (
            draw_dot_plot,
            lambda b: any(any(row["cells"]) for row in b["rows"]),
            "numbers",
        ),
        "significance": (
            significance.draw_significance,
            lambda b: b["comparisons"] or b["overall"],
            "tests",
        ),
        "costs": (
            lambda board, width: draw_pareto(
                board, choice.cost, board.columns[0] if choice.columns else None, width
            ),
            # A table of datasets has sizes, but no scores.
            lambda b: b.get("cost_axes") and any(c.get("score", True) for c in b["columns"]),
            "costs that differ",
        ),
        "pairs": (
            significance.draw_pairs,
            # A large board has only those against one reference.
            lambda b: len(b["overall"]) > 1,
            "tests over datasets of all pairs of rows",
        ),
    }
    with style.house_style():
        if kind == "curves":
            return curves.draw_curves(curves.choose_curves(data, choice.curves), choice.width)
        if kind == "frozen":
            return scatter.draw_scatter(scatter.choose_scatter(data), choice.width)
        draw_figure, has, what = figures[kind]
        spec = choose_board(data, choice.board, has, what)
        board = BoardView(spec, data, choice.rows, choice.columns, choice.reference)
        return draw_figure(board, choice.width)


def draw_training(runs: Sequence[Path], term: str, width: float) -> list[Figure]:
    """Draw a logged term of runs; see `leaderboard.figures.curves.draw_training`."""
    from leaderboard.figures import curves, style

    with style.house_style():
        return curves.draw_training(runs, term, width)
