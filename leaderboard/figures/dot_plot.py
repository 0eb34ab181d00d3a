"""Means with their confidence intervals, one panel per column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from leaderboard.figures.board_view import BoardView, FigureRow, warning_of, warning_words
from leaderboard.figures.layout import (
    MARGIN,
    PAGE,
    Key,
    add_axes,
    add_title,
    chunks,
    fit,
    fit_rows,
    label_rows,
    new_figure,
    paginate,
    row_names,
)
from leaderboard.figures.style import ACCENT, BETTER, INK, MUTED, SMALL, WORSE, panel_grid

_PANEL, _GAP = 25.0, 4.0  # mm: least width of a panel with the gap beside it, and that gap
_AROUND = 13.0  # mm above and below the rows of a panel, for its title and its axis
_TICK, _EDGE = 9.0, 1.5  # mm: least distance of ticks, and of a tick from the edge of its panel
#: Verdict → marker, colour, filled or not, name.
MARKS = {
    "better": ("^", BETTER, True, "better"),
    "worse": ("v", WORSE, True, "worse"),
    "not separable": ("o", MUTED, True, "not separable"),
    "untested": ("o", MUTED, False, "not tested"),
    "reference": ("D", ACCENT, True, "reference"),
}
#: What a bar shows → its name and line width; standard deviations also have ends.
BARS = {"interval": ("95 % interval", 1.0), "std": ("± standard deviation", 0.6)}


def bar_of(cell: dict[str, Any]) -> tuple[str, float, float] | None:
    """What the bar of a cell shows, a key of `BARS`, and its ends.

    The 95 % interval or, if only that is known, as for most published numbers, ± the standard
    deviation. `page/plots/dots.js` has the same.
    """
    if cell["ci_low"] is not None:
        return "interval", cell["ci_low"], cell["ci_high"]
    if cell["std"] is not None:
        return "std", cell["mean"] - cell["std"], cell["mean"] + cell["std"]
    return None


def draw_dot_plot(board: BoardView, width: float) -> list[Figure]:
    """Mean of each row in each column with its 95 % t-interval over seeds, or ± its std.

    Rows are sorted by average rank, the same in all panels. Markers are the verdicts of the tests
    against the reference, whose mean and interval are the dashed line and the shaded band. Marks of
    warnings stand beside them.
    """
    rows = [row for row in board.ordered() if any(board.cell(row, c) for c in board.columns)]
    key = _key(board, rows, width)
    room = PAGE - key.height - 2 * MARGIN
    bold = [row["id"] == board.reference for row in rows]
    names, labels = row_names([board.label(row) for row in rows], 0.36 * width, bold)
    free = width - 2 * MARGIN - labels + _GAP - _EDGE
    down, across = panel_grid(len(board.columns), free, _PANEL)
    panel = free / across - _GAP
    pitch, per_panel = fit_rows(len(rows), room, _AROUND, down)
    shelves = [
        (columns, part)
        for columns in chunks(board.columns, across)
        for part in chunks(range(len(rows)), per_panel)
    ]
    figures = []
    for page in paginate([pitch * len(part) + _AROUND for _, part in shelves], room):
        heights = [pitch * len(shelves[index][1]) for index in page]
        used = sum(heights) + _AROUND * len(page)
        figure = new_figure(width, used + key.height + 2 * MARGIN)
        top = MARGIN + 4.5
        for index, height in zip(page, heights):
            columns, part = shelves[index]
            for number, column in enumerate(columns):
                left = MARGIN + labels + number * (panel + _GAP)
                axis = add_axes(figure, left, top, panel, height)
                shown = [names[index] if number == 0 else "" for index in part]
                label_rows(axis, shown, [bold[index] for index in part])
                _draw_column(axis, board, column, rows, part)
                _describe(axis, column, panel)
            top += height + _AROUND
        key.draw(figure)
        figures.append(figure)
    return figures


def _verdict(board: BoardView, tests: dict[Any, Any], row: FigureRow, column: FigureRow) -> str:
    if row["id"] == board.reference:
        return "reference"
    test = tests.get((row["id"], column["id"]))
    return test["verdict"] if test and test["verdict"] in MARKS else "untested"


def _marker(verdict: str) -> dict[str, str]:
    """The marker of a verdict, as keywords of matplotlib."""
    marker, colour, filled, _ = MARKS[verdict]
    return {"marker": marker, "color": colour, "mfc": colour if filled else "white"}


def _key(board: BoardView, rows: Sequence[FigureRow], width: float) -> Key:
    tests = board.tests()
    cells = [(row, c, cell) for row in rows for c in board.columns if (cell := board.cell(row, c))]
    verdicts = {_verdict(board, tests, row, column) for row, column, _ in cells}
    bars = {bar[0] for _, _, cell in cells if (bar := bar_of(cell))}
    handles = [Line2D([], [], linestyle="", **_marker(v)) for v in MARKS if v in verdicts]
    names = [MARKS[verdict][3] for verdict in MARKS if verdict in verdicts]
    if "reference" in verdicts:
        names[-1] = f"reference ({fit(board.title_of(board.reference), 0.3 * width)})"
    for kind in (kind for kind in BARS if kind in bars):
        name, thickness = BARS[kind]
        ends = {"marker": "|", "markersize": 3, "markevery": [0, -1]} if kind == "std" else {}
        handles.append(Line2D([], [], color=INK, linewidth=thickness, **ends))
        names.append(name)
    warnings = "".join(warning_of(cell) for _, _, cell in cells)
    return Key(handles, names, width, warning_words(warnings))


def _describe(axis: Axes, column: FigureRow, panel: float) -> None:
    """Title and horizontal axis of a panel of this width in mm."""
    add_title(axis, f"{column['dataset_title']} {column['label']}", panel)
    better = "" if column["higher_is_better"] else ", lower is better"
    axis.set_xlabel(fit(f"{column['unit'] or column['label']}{better}", panel))
    # Labels of ticks near an edge would reach into the next panel.
    low, high = axis.get_xlim()
    edge = _EDGE * (high - low) / panel
    wanted = max(2, int(panel / _TICK))
    for count in range(wanted, wanted + 4):
        ticks = MaxNLocator(nbins=count).tick_values(low, high)
        inside = [tick for tick in ticks if low + edge <= tick <= high - edge]
        if len(inside) > 1:  # A single tick is no scale.
            break
    axis.xaxis.set_major_locator(FixedLocator(inside))
    axis.grid(axis="x")


def _draw_column(
    axis: Axes, board: BoardView, column: FigureRow, rows: Sequence[FigureRow], part: Sequence[int]
) -> None:
    """Draw the rows of these numbers; the horizontal axis is the same for all parts."""
    tests = board.tests()
    ends: list[float] = []
    for number, row in enumerate(rows):
        cell = board.cell(row, column)
        if cell is None:
            continue
        bar = bar_of(cell)
        ends += [cell["mean"], *(bar[1:] if bar else ())]
        verdict = _verdict(board, tests, row, column)
        if verdict == "reference":
            axis.axvline(cell["mean"], color=ACCENT, linewidth=0.7, linestyle=(0, (4, 3)))
            if bar and bar[0] == "interval":
                axis.axvspan(*bar[1:], color=ACCENT, alpha=0.1, lw=0)
        if number in part:
            place = number - part[0]
            look, name = _marker(verdict), f"{row['id']}:{column['id']}"
            if bar:
                _draw_bar(axis, place, bar, look["color"], name)
            axis.plot(cell["mean"], place, **look, linestyle="", gid=f"dot:{name}")
            if warning := warning_of(cell):
                at = {"textcoords": "offset points", "va": "center", "fontsize": SMALL}
                axis.annotate(warning, (cell["mean"], place), (3, 2), **at)
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    margin = 0.05 * (high - low or abs(high) or 1)
    axis.set_xlim(low - margin, high + margin)


def _draw_bar(
    axis: Axes, place: int, bar: tuple[str, float, float], colour: str, name: str
) -> None:
    kind, *ends = bar
    width = BARS[kind][1]
    axis.hlines(place, *ends, color=colour, linewidth=width, gid=f"{kind}:{name}")
    if kind == "std":
        look = {"marker": "|", "markersize": 3, "markeredgewidth": width, "color": colour}
        axis.plot(ends, [place, place], linestyle="", **look)
