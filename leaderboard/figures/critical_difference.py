"""The critical-difference diagram of Demšar (JMLR 7, 2006)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from leaderboard.figures.board_view import BoardView
from leaderboard.figures.style import ACCENT, INK, MUTED, new_figure
from leaderboard.figures.text import fit_text, shorten, text_width
from leaderboard.statistics import p_text

_AXIS, _BAR, _STEP = 13.0, 1.9, 3.7  # mm: top to axis, bar to bar, name to name
_NUMBER, _FONT_SIZE = 8.0, 6.5  # mm for the mean rank before a name; points


def levels(bars: Sequence[tuple[float, float]]) -> list[int]:
    """The level of each bar, such that bars of one level do not touch; sorted by start."""
    ends: list[float] = []
    placed = []
    for start, end in bars:
        level = next((n for n, last in enumerate(ends) if last < start), len(ends))
        ends[level : level + 1] = [end]
        placed.append(level)
    return placed


def draw_critical_difference(board: BoardView, width: float) -> Figure:
    """Methods on an axis of mean ranks, best on the left.

    A bar joins methods that Nemenyi's test of all pairs cannot separate; the bar above the axis is
    as long as the critical difference. The unit of the horizontal axis is a rank, that of the
    vertical axis a mm.
    """
    friedman = board.spec["friedman"]
    ranks, gap = friedman["ranks"], friedman["critical_difference"]
    methods = sorted(ranks, key=lambda name: (ranks[name], name))
    half = math.ceil(len(methods) / 2)
    low, high = 1.0, max(2.0, len(methods), 1 + (gap or 0))
    weights = {name: "bold" if name == board.reference else "normal" for name in methods}
    titles = {name: shorten(board.title_of(name), 60) for name in methods}
    longest = max(text_width(titles[name], _FONT_SIZE, weights[name]) for name in methods)
    side = min(_NUMBER + 1.06 * longest, 0.3 * width)  # hinting may widen a name
    unit = (high - low) / (width - 2 * side - 6)  # ranks per mm
    bars = sorted(
        (min(r), max(r)) for r in ([ranks[name] for name in g] for g in friedman["groups"])
    )
    # Bars whose ends touch on paper would look like one.
    placed = levels([(start - unit, end + unit) for start, end in bars])
    labels = _AXIS + 4.5 + _BAR * (max(placed, default=-1) + 1)
    height = labels + _STEP * half + 5
    figure = new_figure(width, height)
    figure.set_layout_engine(None)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_xlim(low - unit * (side + 3), high + unit * (side + 3))
    axis.set_ylim(height, 0)
    axis.set_axis_off()
    _draw_scale(axis, low, high)
    if gap:
        _draw_gap(axis, low, gap)
    for index, name in enumerate(methods):
        left = index < half
        y = labels + _STEP * (index if left else len(methods) - 1 - index)
        edge = low - 3 * unit if left else high + 3 * unit
        marked = name == board.reference
        colour = ACCENT if marked else MUTED
        path = ([ranks[name], ranks[name], edge], [_AXIS, y, y])
        axis.plot(*path, color=colour, linewidth=0.9 if marked else 0.6, gid=f"stem:{name}")
        axis.plot(ranks[name], _AXIS, "o", color=colour if marked else INK, markersize=2.4)
        away, align = (-unit, "right") if left else (unit, "left")
        number = {"va": "center", "ha": align, "fontsize": 6, "color": MUTED}
        axis.text(edge + away, y, f"{ranks[name]:.2f}", **number)
        title = fit_text(titles[name], 0.95 * (side - _NUMBER), _FONT_SIZE, weights[name])
        place = edge + _NUMBER * away
        axis.text(place, y, title, va="center", ha=align, size=_FONT_SIZE, weight=weights[name])
    for (start, end), level in zip(bars, placed):
        y = _AXIS + 2.2 + _BAR * level
        axis.hlines(y, start, end, color=INK, linewidth=2.2, capstyle="round", gid="group")
    axis.text(
        *(0.5, 0.8 / height, _caption(friedman)),
        transform=axis.transAxes,
        ha="center",
        va="bottom",
        fontsize=6,
        color=MUTED,
    )
    return figure


def _draw_scale(axis: Axes, low: float, high: float) -> None:
    axis.hlines(_AXIS, low, high, color=INK, linewidth=0.8)
    for tick in {low, *MaxNLocator(10, integer=True).tick_values(low, high)}:
        if low <= tick <= high:
            axis.vlines(tick, _AXIS - 1.2, _AXIS, color=INK, linewidth=0.6)
            axis.text(tick, _AXIS - 1.8, f"{tick:g}", ha="center", va="bottom", fontsize=6)


def _draw_gap(axis: Axes, low: float, gap: float) -> None:
    y = 4.0
    axis.hlines(y, low, low + gap, color=INK, linewidth=0.9, gid="critical-difference")
    axis.vlines([low, low + gap], y - 1, y + 1, color=INK, linewidth=0.9)
    name = f"critical difference {gap:.2f}"
    axis.text(low + gap / 2, y - 0.5, name, ha="center", va="bottom", fontsize=6)


def _caption(friedman: dict[str, Any]) -> str:
    p, alpha = friedman["p"], friedman["alpha"]
    sizes = f"{friedman['k']} rows, {friedman['n']} datasets, α = {alpha:g}"
    text = f"Friedman χ² = {friedman['statistic']:.1f}, {p_text(p)}, {sizes}"
    return text if p < alpha else f"{text}: no difference found, do not read an order into it"
