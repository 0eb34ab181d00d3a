"""Means with their confidence intervals, one panel per column."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from leaderboard.figures.board_view import BoardView, FigureRow
from leaderboard.figures.style import (
    ACCENT,
    BETTER,
    MUTED,
    ROW,
    WORSE,
    label_rows,
    new_figure,
    panel_grid,
)
from leaderboard.figures.text import shorten

_LABELS = 34.0  # mm for the names of the rows
_PANEL = 34.0  # mm, minimum width of a panel
#: Verdict → marker, colour, filled or not, name.
MARKS = {
    "better": ("^", BETTER, True, "better"),
    "worse": ("v", WORSE, True, "worse"),
    "not separable": ("o", MUTED, True, "not separable"),
    "untested": ("o", MUTED, False, "not tested"),
    "reference": ("D", ACCENT, True, "reference"),
}


def draw_dot_plot(board: BoardView, width: float) -> Figure:
    """Mean and 95 % t-interval over seeds of each row in each column.

    Rows are sorted by average rank, the same in all panels. Markers are the verdicts of the tests
    against the reference, whose mean and interval are the dashed line and the shaded band.
    """
    rows = [row for row in board.ordered() if any(board.cell(row, c) for c in board.columns)]
    down, across = panel_grid(len(board.columns), width - _LABELS, _PANEL)
    figure = new_figure(width, down * (ROW * len(rows) + 11) + 7)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    used = set()
    for number, (axis, column) in enumerate(zip(panels, board.columns)):
        used |= _draw_column(axis, board, column, rows)
        labels = [shorten(board.label(row), 26) for row in rows]
        marked = [row["id"] == board.reference for row in rows]
        label_rows(axis, labels, marked, show=number % across == 0)
        axis.set_title(f"{column['dataset_title']} {column['label']}", fontsize=6.5)
        better = "" if column["higher_is_better"] else ", lower is better"
        axis.set_xlabel(f"{column['unit'] or column['label']}{better}")
        axis.locator_params(axis="x", nbins=4)
    for axis in panels[len(board.columns) :]:
        axis.set_axis_off()
    shown = [verdict for verdict in MARKS if verdict in used]
    handles = [Line2D([], [], linestyle="", **_marker(verdict)) for verdict in shown]
    reference = f"reference ({board.title_of(board.reference)})"
    names = [reference if verdict == "reference" else MARKS[verdict][3] for verdict in shown]
    figure.legend(handles, names, loc="outside lower center", ncols=len(handles))
    return figure


def _marker(verdict: str) -> dict[str, str]:
    """The marker of a verdict, as keywords of matplotlib."""
    marker, colour, filled, _ = MARKS[verdict]
    return {"marker": marker, "color": colour, "mfc": colour if filled else "white"}


def _draw_column(
    axis: Axes, board: BoardView, column: FigureRow, rows: Sequence[FigureRow]
) -> set[str]:
    """Draw one panel; returns the verdicts in it."""
    tests = board.tests()
    used = set()
    for place, row in enumerate(rows):
        cell = board.cell(row, column)
        if cell is None:
            continue
        test = tests.get((row["id"], column["id"]))
        verdict = test["verdict"] if test else "untested"
        verdict = "reference" if row["id"] == board.reference else verdict
        verdict = verdict if verdict in MARKS else "untested"
        used.add(verdict)
        style = _marker(verdict)
        if cell["ci_low"] is not None:
            axis.hlines(place, cell["ci_low"], cell["ci_high"], color=style["color"], linewidth=1)
            if verdict == "reference":
                axis.axvspan(cell["ci_low"], cell["ci_high"], color=ACCENT, alpha=0.1, lw=0)
        if verdict == "reference":
            axis.axvline(cell["mean"], color=ACCENT, linewidth=0.7, linestyle=(0, (4, 3)))
        name = f"dot:{row['id']}:{column['id']}"
        axis.plot(cell["mean"], place, **style, linestyle="", gid=name)
    return used
