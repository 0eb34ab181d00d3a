"""The critical-difference diagram of Demšar (JMLR 7, 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from leaderboard.figures.board_view import BoardView
from leaderboard.figures.layout import (
    MARGIN,
    PAGE,
    chunks,
    fit_rows,
    new_figure,
    row_names,
    wrap,
)
from leaderboard.figures.style import ACCENT, INK, MUTED, SMALL
from leaderboard.statistics import p_text, rounded

_AXIS, _BAR = 13.0, 1.9  # mm: top to axis, bar to bar
# mm: for the mean rank before a name, from the axis to the names, least distance of ticks
_NUMBER, _STUB, _TICK = 8.5, 3.0, 4.5
_SIDE = 0.36  # share of the width that each side may have for numbers and names


def levels(bars: Sequence[tuple[float, float]]) -> list[int]:
    """The level of each bar, such that bars of one level do not touch; sorted by start."""
    ends: list[float] = []
    placed = []
    for start, end in bars:
        level = next((n for n, last in enumerate(ends) if last < start), len(ends))
        ends[level : level + 1] = [end]
        placed.append(level)
    return placed


def draw_critical_difference(board: BoardView, width: float) -> list[Figure]:
    """Methods on an axis of mean ranks, best on the left.

    A bar joins methods that Nemenyi's test of all pairs cannot separate; the bar above the axis is
    as long as the critical difference. The unit of the horizontal axis is a rank, that of the
    vertical axis a mm. More methods than fit below the axis continue on the next page.
    """
    friedman = board.spec["friedman"]
    ranks, gap = friedman["ranks"], friedman["critical_difference"]
    methods = sorted(ranks, key=lambda name: (ranks[name], name))
    low, high = 1.0, max(2.0, len(methods), 1 + (gap or 0))
    bold = [name == board.reference for name in methods]
    names = [board.title_of(name) for name in methods]
    cut, room = row_names(names, _SIDE * width - _NUMBER, bold)
    titles = dict(zip(methods, cut))
    side = _NUMBER + room
    unit = (high - low) / (width - 2 * side - 2 * _STUB - 2 * MARGIN)  # ranks per mm
    bars = sorted(
        (min(r), max(r)) for r in ([ranks[name] for name in g] for g in friedman["groups"])
    )
    # Bars whose ends touch on paper would look like one.
    placed = levels([(start - unit, end + unit) for start, end in bars])
    labels = _AXIS + 4.5 + _BAR * (max(placed, default=-1) + 1)
    caption = wrap(_caption(friedman), width - 2 * MARGIN)
    below = 3.0 * len(caption) + 2
    pitch, half = fit_rows(-(-len(methods) // 2), PAGE - MARGIN, labels + below)
    figures = []
    for part in chunks(methods, 2 * half):
        height = labels + pitch * -(-len(part) // 2) + below
        figure = new_figure(width, height)
        axis = figure.add_axes((0, 0, 1, 1))
        edge = unit * (side + _STUB + MARGIN)
        axis.set_xlim(low - edge, high + edge)
        axis.set_ylim(height, 0)
        axis.set_axis_off()
        _draw_scale(axis, low, high, unit)
        if gap:
            _draw_gap(axis, low, gap)
        shown = {name: titles[name] for name in part}
        _draw_methods(axis, board, shown, (low, high), (labels, pitch, unit))
        for (start, end), level in zip(bars, placed):
            y = _AXIS + 2.2 + _BAR * level
            axis.hlines(y, start, end, color=INK, linewidth=2.2, capstyle="round", gid="group")
        for number, words in enumerate(caption):
            y = height - below + 2 + 3.0 * number
            look = {"ha": "center", "va": "top", "fontsize": SMALL, "color": MUTED}
            axis.text((low + high) / 2, y, words, **look)
        figures.append(figure)
    return figures


def _draw_methods(
    axis: Axes,
    board: BoardView,
    titles: dict[str, str],
    scale: tuple[float, float],
    sizes: tuple[float, float, float],
) -> None:
    """Stems to the names: the first half of the methods on the left, the others on the right.

    Args:
        titles: method → its title, by rank.
        scale: first and last rank of the axis.
        sizes: height of the first name and distance of names in mm, and ranks per mm.
    """
    ranks = board.spec["friedman"]["ranks"]
    top, pitch, unit = sizes
    count, half = len(titles), -(-len(titles) // 2)
    for index, (name, title) in enumerate(titles.items()):
        left = index < half
        y = top + pitch * (index if left else count - 1 - index)
        edge = scale[0] - _STUB * unit if left else scale[1] + _STUB * unit
        marked = name == board.reference
        colour = ACCENT if marked else MUTED
        path = ([ranks[name], ranks[name], edge], [_AXIS, y, y])
        axis.plot(*path, color=colour, linewidth=0.9 if marked else 0.6, gid=f"stem:{name}")
        axis.plot(ranks[name], _AXIS, "o", color=colour if marked else INK, markersize=2.4)
        away, align = (-unit, "right") if left else (unit, "left")
        look = {"va": "center", "ha": align, "fontsize": SMALL}
        axis.text(edge + away, y, rounded(ranks[name], 2), color=MUTED, **look)
        weight = "bold" if marked else "normal"
        axis.text(edge + _NUMBER * away, y, title, weight=weight, **look)


def _draw_scale(axis: Axes, low: float, high: float, unit: float) -> None:
    axis.hlines(_AXIS, low, high, color=INK, linewidth=0.8)
    count = max(2, min(10, int((high - low) / unit / _TICK)))
    ticks = MaxNLocator(count, integer=True).tick_values(low, high)
    # One is always named; a tick too close to it is omitted.
    for tick in (low, *(t for t in ticks if low + _TICK * unit <= t <= high)):
        axis.vlines(tick, _AXIS - 1.2, _AXIS, color=INK, linewidth=0.6)
        axis.text(tick, _AXIS - 1.8, f"{tick:g}", ha="center", va="bottom", fontsize=SMALL)


def _draw_gap(axis: Axes, low: float, gap: float) -> None:
    y = 4.8
    axis.hlines(y, low, low + gap, color=INK, linewidth=0.9, gid="critical-difference")
    axis.vlines([low, low + gap], y - 1, y + 1, color=INK, linewidth=0.9)
    name = f"critical difference {rounded(gap, 2)}"
    axis.text(low + gap / 2, y - 1.4, name, ha="center", va="bottom", fontsize=SMALL)


def _caption(friedman: dict[str, Any]) -> str:
    p, alpha = friedman["p"], friedman["alpha"]
    sizes = f"{friedman['k']} rows, {friedman['n']} datasets, α = {alpha:g}"
    text = f"Friedman χ² = {rounded(friedman['statistic'], 2)}, {p_text(p)}, {sizes}"
    return text if p < alpha else f"{text}: no difference found, do not read an order into it"
