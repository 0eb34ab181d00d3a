"""Heat maps of p-values: every row against the reference per column, and all pairs of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from leaderboard.comparisons import CORRECTIONS
from leaderboard.figures.board_view import BoardView, FigureRow
from leaderboard.figures.layout import (
    MARGIN,
    PAGE,
    Key,
    add_axes,
    add_text,
    chunks,
    fit,
    fit_names,
    fit_rows,
    label_rows,
    new_figure,
    paginate,
    row_names,
    widest,
)
from leaderboard.figures.style import BETTER, INK, MUTED, NORMAL, SMALL, WORSE
from leaderboard.figures.text import signed
from leaderboard.statistics import ALPHA, p_text

#: Upper ends of the classes of p-values, and their shades for a better and for a worse row; above
#: the last end, rows are not separable.
CLASSES = (0.001, 0.01, ALPHA)
SHADES = {"better": (BETTER, "#5b9bd0", "#b5d3ea"), "worse": (WORSE, "#ec9157", "#f8cfb3")}
EQUAL = "#ececec"
SIGNS = {"better": "▲", "worse": "▼"}
_DARK = 0.6  # white text on shades below this brightness
_HEAD = 26.0  # mm for the names of columns, at most
_LEAST = 3.2  # mm: least width of a cell, with room for a sign and for a vertical name
_TITLE = 4.5  # mm
_APART = 0.3  # of a cell, between the columns and the test over all of them

TestEntry = tuple[dict[str, Any], float | None]  # a test and the p-value of its verdict
Entries = Mapping[tuple[int, int], TestEntry]  # (row, column) → its test


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


def _complete(test: dict[str, Any], p: float) -> str:
    if test["ci_low"] is None:
        return f"{signed(test['difference'])}  {p_text(p)}"
    ends = f"[{signed(test['ci_low'])}, {signed(test['ci_high'])}]"
    return f"{signed(test['difference'])}  {ends}  {p_text(p)}"


def _sign(test: dict[str, Any], p: float) -> str:
    return SIGNS.get(test["verdict"], "") if p < ALPHA else ""


#: What a cell can hold, the most first, and how the key names it.
_CONTENTS: tuple[tuple[Callable[[dict[str, Any], float], str], str], ...] = (
    (_complete, "numbers: row minus {other}, its interval, p"),
    (lambda test, _: signed(test["difference"]), "numbers: row minus {other}"),
    (lambda test, _: signed(test["difference"], 1), "numbers: row minus {other}"),
    (_sign, "▲ row better, ▼ row worse than {other}"),
)


@dataclass(frozen=True)
class _Map:
    """A heat map.

    Attributes:
        rows, columns: names.
        bold: whether a row is marked.
        entries: the tests.
        other: what a row is compared with.
        title: above the map.
        apart: number of a column with a gap before it.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    bold: Sequence[bool]
    entries: Entries
    other: str
    title: str = ""
    apart: int | None = None

    @property
    def bold_columns(self) -> Sequence[bool]:
        """Whether a column is marked: only where the columns are the rows too."""
        return self.bold if self.columns is self.rows else [False] * len(self.columns)


def draw_significance(board: BoardView, width: float) -> list[Figure]:
    """Every row (by average rank) against the reference in every column, and over datasets.

    The last column, separated by a gap, is the overall test: over datasets, on the mean of the
    percent columns of each.
    """
    tests, overall = board.tests(), board.overall()
    compared = {row for row, _ in tests} | overall.keys()
    rows = [row for row in board.ordered() if row["id"] in compared]
    columns = board.columns if tests else []
    entries: dict[tuple[int, int], TestEntry] = {}
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            if (test := tests.get((row["id"], column["id"]))) is not None:
                entries[y, x] = (test, board.p_value(test))
        if (test := overall.get(row["id"])) is not None:
            entries[y, len(columns)] = (test, board.p_value(test))
    names = [f"{column['dataset_title']} {column['label']}" for column in columns]
    heat_map = _Map(
        rows=[board.label(row) for row in rows],
        columns=[*names, "all datasets"] if overall else names,
        bold=[False] * len(rows),
        entries=entries,
        other="reference",
        title=f"Against {board.title_of(board.reference)}",
        apart=len(columns) if overall and columns else None,
    )
    return _draw(heat_map, CORRECTIONS[board.correction], width)


def draw_pairs(board: BoardView, width: float) -> list[Figure]:
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
    names = [board.label(row) for row in rows]
    bold = [row["id"] == board.reference for row in rows]
    heat_map = _Map(names, names, bold, entries, "column")
    return _draw(heat_map, CORRECTIONS[board.correction], width, numbers=False)


def _draw(heat_map: _Map, correction: str, width: float, numbers: bool = True) -> list[Figure]:
    """The pages of a map.

    Args:
        numbers: give cells the width of a number, even if the columns then need several panels.
    """
    names, labels = row_names(heat_map.rows, 0.36 * width, heat_map.bold)
    free = width - 2 * MARGIN - labels
    tests = list(heat_map.entries.values())
    needs = [_need(tests, content) for content, _ in _CONTENTS]
    gap = _APART if heat_map.apart is not None else 0.0
    per_panel = max(1, int(free / (needs[1] if numbers else _LEAST) - gap))
    per_panel = -(-len(heat_map.columns) // -(-len(heat_map.columns) // per_panel))
    cell = free / (min(per_panel, len(heat_map.columns)) + gap)
    content, words = next(
        (c for c, need in zip(_CONTENTS, needs) if need <= cell + 1e-9), _CONTENTS[-1]
    )
    key = _key(heat_map, correction, words, width)
    room = PAGE - key.height - 2 * MARGIN - _TITLE * bool(heat_map.title)
    upright = widest(heat_map.columns) > 0.94 * cell
    columns = fit_names(heat_map.columns, _HEAD if upright else cell, heat_map.bold_columns)
    head = widest(columns, weight="bold") + 2 if upright else 5.0
    parts = chunks(range(len(heat_map.columns)), per_panel)
    pitch, per_part = fit_rows(len(heat_map.rows), room, head + 2, len(parts))
    shelves = [(c, r) for r in chunks(range(len(heat_map.rows)), per_part) for c in parts]
    figures = []
    for page in paginate([pitch * len(r) + head + 2 for _, r in shelves], room):
        top = MARGIN + _TITLE * bool(heat_map.title)
        height = sum(pitch * len(shelves[index][1]) + head + 2 for index in page)
        figure = new_figure(width, top + height + key.height + MARGIN)
        if heat_map.title:
            title = fit(heat_map.title, width - 2 * MARGIN, NORMAL, "bold")
            add_text(figure, MARGIN, MARGIN, title, fontsize=NORMAL, weight="bold")
        for index in page:
            across, down = shelves[index]
            apart = _APART if heat_map.apart in across else 0.0
            size = (cell * (len(across) + apart), pitch * len(down))
            axis = add_axes(figure, MARGIN + labels, top + head, *size)
            _draw_cells(axis, heat_map, across, down, content)
            label_rows(axis, [names[y] for y in down], [heat_map.bold[y] for y in down])
            _name_columns(axis, heat_map, across, [columns[x] for x in across], upright)
            top += head + size[1] + 2
        key.draw(figure)
        figures.append(figure)
    return figures


def _need(tests: Sequence[TestEntry], content: Callable[[dict[str, Any], float], str]) -> float:
    """Width in mm of a cell that has room for the content of every test."""
    texts = [content(test, p) for test, p in tests if p is not None]
    return max(_LEAST, widest(texts) + 1.2)


def _draw_cells(
    axis: Axes,
    heat_map: _Map,
    across: Sequence[int],
    down: Sequence[int],
    content: Callable[[dict[str, Any], float], str],
) -> None:
    for (row, column), (test, p) in heat_map.entries.items():
        if row not in down or column not in across:
            continue
        y, x = row - down[0], _place(heat_map, column, across)
        colour = shade(test["verdict"], p)
        corner = (x - 0.5, y - 0.5)
        # Unlike `add_patch`, this leaves the limits alone, which takes most of its time.
        axis.add_artist(Rectangle(corner, 1, 1, fc=colour, ec="white", linewidth=0.6))
        text = "·" if p is None else content(test, p)
        if text:
            look = {"ha": "center", "va": "center_baseline", "fontsize": SMALL}
            axis.text(x, y, text, color=_text_colour(colour), **look)


def _place(heat_map: _Map, column: int, across: Sequence[int]) -> float:
    return column - across[0] + (_APART if column == heat_map.apart else 0.0)


def _name_columns(
    axis: Axes, heat_map: _Map, across: Sequence[int], names: Sequence[str], upright: bool
) -> None:
    places = [_place(heat_map, column, across) for column in across]
    axis.set_xlim(-0.5, places[-1] + 0.5)
    axis.set_xticks(places, names, rotation=90 if upright else 0)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.tick_params(axis="x", pad=2)
    for tick, column in zip(axis.get_xticklabels(), across):
        tick.set_fontweight("bold" if heat_map.bold_columns[column] else "normal")
    for spine in axis.spines.values():
        spine.set_visible(False)


def _key(heat_map: _Map, correction: str, words: str, width: float) -> Key:
    shown = [
        (f"{verdict}, p < {end:g}", colour)
        for verdict, shades in SHADES.items()
        for end, colour in zip(CLASSES, shades)
    ]
    shown.append((f"not separable, p ≥ {CLASSES[-1]:g}", EQUAL))
    if any(p is None for _, p in heat_map.entries.values()):
        shown.append(("test not defined ( · )", "#ffffff"))
    handles = [Patch(facecolor=colour, edgecolor=MUTED, linewidth=0.3) for _, colour in shown]
    # Pairs: either direction is in the family of its own column.
    family = " per column" if heat_map.other == "column" and correction != "uncorrected" else ""
    title = f"p ({correction}{family}); {words.format(other=heat_map.other)}"
    return Key(handles, [text for text, _ in shown], width, title)
