"""Heat maps of p-values: every row against the reference per column, and all pairs of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from leaderboard.comparisons import CORRECTIONS
from leaderboard.figures.board_view import BoardView, FigureRow
from leaderboard.figures.style import BETTER, INK, MUTED, ROW, WORSE, new_figure
from leaderboard.figures.text import shorten, signed
from leaderboard.statistics import ALPHA, p_text

#: Upper ends of the classes of p-values, and their shades for a better and for a worse row; above
#: the last end, rows are not separable.
CLASSES = (0.001, 0.01, ALPHA)
SHADES = {"better": (BETTER, "#5b9bd0", "#b5d3ea"), "worse": (WORSE, "#ec9157", "#f8cfb3")}
EQUAL = "#ececec"
_DARK = 0.6  # white text on shades below this brightness
_LABELS = 26.0  # mm for the names of the rows
_WIDE = 40.0  # mm: a cell with room for the interval and p
_LARGEST, _SMALLEST = 6.0, 3.8  # font sizes in points
_DIGIT = 0.22  # width of a digit in mm per point of font size

TestEntry = tuple[dict[str, Any], float | None]  # a test and the p-value of its verdict


def shade(verdict: str, p: float | None) -> str:
    """Colour of a test by direction and class of p; white where undefined."""
    if p is None:
        return "#ffffff"
    if verdict not in SHADES:
        return EQUAL
    return next((c for end, c in zip(CLASSES, SHADES[verdict]) if p < end), EQUAL)


def _text_colour(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return "#ffffff" if 0.3 * red + 0.59 * green + 0.11 * blue < _DARK else INK


def _cell_text(test: dict[str, Any], p: float | None, cell: float) -> tuple[str, float]:
    """What fits into a cell of this width in mm, and its font size in points."""
    if p is None:
        return "·", _LARGEST
    difference = signed(test["difference"])
    if cell > _WIDE and test["ci_low"] is not None:
        ends = f"[{signed(test['ci_low'])}, {signed(test['ci_high'])}]"
        return f"{difference}  {ends}  {p_text(p)}", _LARGEST
    for text in (difference, signed(test["difference"], 1)):
        size = min(_LARGEST, 0.9 * cell / (_DIGIT * len(text)))
        if size >= _SMALLEST:
            return text, size
    return "", _SMALLEST


def _draw_entries(axis: Axes, entries: Mapping[tuple[int, float], TestEntry], cell: float) -> None:
    """Cells at (row, column): the shade of p and the difference, a dot if undefined.

    Args:
        cell: width of a cell in mm.
    """
    for (y, x), (test, p) in entries.items():
        colour = shade(test["verdict"], p)
        corner = (x - 0.5, y - 0.5)
        axis.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", linewidth=0.6))
        text, size = _cell_text(test, p, cell)
        axis.text(x, y, text, ha="center", va="center", fontsize=size, color=_text_colour(colour))


def _label(axis: Axes, rows: Sequence[str], marked: int | None) -> None:
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_yticks(range(len(rows)), rows)
    axis.tick_params(length=0)
    if marked is not None:
        axis.get_yticklabels()[marked].set_fontweight("bold")
    for spine in axis.spines.values():
        spine.set_visible(False)


def _legend(figure: Figure, board: BoardView, other: str) -> None:
    def name(end: float, verdict: str) -> str:
        return f"{verdict}, p < {end:g}"

    shown = [(name(e, v), c) for v, shades in SHADES.items() for e, c in zip(CLASSES, shades)]
    shown.append((f"not separable, p ≥ {CLASSES[-1]:g}", EQUAL))
    shown.append(("test not defined ( · )", "#ffffff"))
    handles = [Patch(facecolor=colour, edgecolor=MUTED, linewidth=0.3) for _, colour in shown]
    figure.legend(
        handles,
        [text for text, _ in shown],
        title=f"p ({CORRECTIONS[board.correction]}); numbers: row minus {other}",
        title_fontsize=6,
        loc="outside lower center",
        ncols=3,
        handlelength=1.2,
    )


def draw_significance(board: BoardView, width: float) -> Figure:
    """Every row (by average rank) against the reference in every column, and over datasets.

    The last column, separated by a gap, is the overall test: over datasets, of each the mean of its
    columns in percent.
    """
    tests, overall = board.tests(), board.overall()
    compared = {row for row, _ in tests} | overall.keys()
    rows = [row for row in board.ordered() if row["id"] in compared]
    columns = board.columns if tests else []
    entries: dict[tuple[int, float], TestEntry] = {}
    overall_x = len(columns) + (0.3 if columns else 0)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            if (test := tests.get((row["id"], column["id"]))) is not None:
                entries[y, x] = (test, board.p_value(test))
        if (test := overall.get(row["id"])) is not None:
            entries[y, overall_x] = (test, board.p_value(test))
    names = [f"{column['dataset_title']}\n{column['label']}" for column in columns]
    places: list[float] = list(range(len(columns)))
    if overall:
        names, places = [*names, "all\ndatasets"], [*places, overall_x]
    figure = new_figure(width, ROW * len(rows) + 34)
    axis = figure.add_subplot()
    cell = (width - _LABELS) / (places[-1] + 1)
    _draw_entries(axis, entries, cell)
    _label(axis, [shorten(board.label(row)) for row in rows], None)
    axis.set_xlim(-0.5, places[-1] + 0.5)
    crowded = cell < 15
    axis.set_xticks(
        places, names, rotation=60 if crowded else 0, ha="left" if crowded else "center"
    )
    axis.xaxis.tick_top()
    if crowded:
        for tick in axis.get_xticklabels():
            tick.set(rotation_mode="anchor", linespacing=0.9)
    axis.set_title(f"Against {shorten(board.title_of(board.reference))}", loc="left")
    _legend(figure, board, "reference")
    return figure


def draw_pairs(board: BoardView, width: float) -> Figure:
    """Every row against every other one over datasets; each column is one family of tests."""
    all_tests = {name: board.overall(name) for name in board.spec["overall"]}
    compared = all_tests.keys() | {row for tests in all_tests.values() for row in tests}
    rows: list[FigureRow] = [row for row in board.ordered() if row["id"] in compared]
    place = {row["id"]: number for number, row in enumerate(rows)}
    entries = {
        (place[name], place[reference]): (test, board.p_value(test))
        for reference, tests in all_tests.items()
        for name, test in tests.items()
        if name in place and reference in place
    }
    figure = new_figure(width, ROW * len(rows) + 46)
    axis = figure.add_subplot()
    _draw_entries(axis, entries, (width - _LABELS) / max(1, len(rows)))
    labels = [shorten(board.label(row), 28) for row in rows]
    marked = place.get(board.reference)
    _label(axis, labels, marked)
    axis.set_xlim(-0.5, len(rows) - 0.5)
    axis.set_xticks(range(len(rows)), labels, rotation=60, ha="left", rotation_mode="anchor")
    axis.xaxis.tick_top()
    if marked is not None:
        axis.get_xticklabels()[marked].set_fontweight("bold")
    _legend(figure, board, "column")
    return figure
