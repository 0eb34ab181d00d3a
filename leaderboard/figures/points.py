"""Named points in a plane, for scores against other scores or against costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leaderboard.figures.labels import label_points
from leaderboard.figures.layout import (
    MARGIN,
    NARROW,
    PAGE,
    add_axes,
    add_text,
    add_title,
    chunks,
    fit,
    new_figure,
    widest,
    wrap,
)
from leaderboard.figures.style import ACCENT, BETTER, MUTED
from leaderboard.figures.text import shorten

_LEFT, _ABOVE, _BELOW = 12.0, 6.0, 9.5  # mm around the axes
_ROW = NARROW + 0.1  # mm, of the list
_STEP = {"color": ACCENT, "linewidth": 0.8, "zorder": 1.8, "gid": "step"}


@dataclass(frozen=True)
class PointPlot:
    """What is drawn.

    Attributes:
        points: (x, y) of each.
        titles: its name.
        ids: its id in the figure.
        x_label, y_label, heading: as printed.
        note: below the plot.
        looks: of the points, as keywords of matplotlib; empty for the usual one.
        lines: ends of horizontal and vertical lines, which no name may cover.
        line_look: of the lines, as keywords of matplotlib.
        prepare: sets scales and directions of the axes.
    """

    points: Sequence[tuple[float, float]]
    titles: Sequence[str]
    ids: Sequence[str]
    x_label: str
    y_label: str
    heading: str
    note: str = ""
    looks: Sequence[Mapping[str, Any]] = ()
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]] = ()
    line_look: Mapping[str, Any] = field(default_factory=lambda: _STEP)
    prepare: Callable[[Axes], None] | None = None


def draw_points(plot: PointPlot, width: float) -> list[Figure]:
    """Points with their names beside them or, where there is no room, numbers with a list below."""
    note = wrap(plot.note, width - 2 * MARGIN - _LEFT)
    figure, axis = _draw(plot, note, width, 0.0)
    names = [shorten(title, 26) for title in plot.titles]
    if not label_points(axis, plot.points, names, plot.lines):
        return [figure]
    numbers = [str(number) for number in range(1, len(plot.titles) + 1)]
    entries = [f"{number}  {title}" for number, title in zip(numbers, plot.titles)]
    room = width - 2 * MARGIN
    longest = widest(entries) + 3
    across = max(2, min(6, int(room / longest)))
    used = _height(note, width)
    first = across * int((PAGE - used) / _ROW)
    head, rest = entries[:first], entries[first:]
    below = _ROW * -(-len(head) // across)
    figure, axis = _draw(plot, note, width, below)
    if without := label_points(axis, plot.points, numbers, plot.lines, drop=True):
        heading = f"{plot.heading}; no room for {without} numbers"
        figure, axis = _draw(replace(plot, heading=heading), note, width, below)
        label_points(axis, plot.points, numbers, plot.lines, drop=True)
    _list(figure, head, used - MARGIN, across, room)
    figures = [figure]
    for part in chunks(rest, across * int((PAGE - 2 * MARGIN) / _ROW)):
        figures.append(new_figure(width, 2 * MARGIN + _ROW * -(-len(part) // across)))
        _list(figures[-1], part, MARGIN, across, room)
    return figures


def _height(note: Sequence[str], width: float) -> float:
    """Height without the list, in mm."""
    plot = min(0.62 * width, 0.5 * PAGE)
    return plot + _ABOVE + _BELOW + _ROW * len(note) + 2 * MARGIN


def _draw(plot: PointPlot, note: Sequence[str], width: float, below: float) -> tuple[Figure, Axes]:
    """The points without names, with room for a list of this height."""
    used = _height(note, width)
    figure = new_figure(width, used + below)
    across = width - 2 * MARGIN - _LEFT
    down = used - 2 * MARGIN - _ABOVE - _BELOW - _ROW * len(note)
    axis = add_axes(figure, MARGIN + _LEFT, MARGIN + _ABOVE, across, down)
    for ends in plot.lines:
        axis.plot(*zip(*ends), **plot.line_look)
    looks = plot.looks or [{"color": BETTER}] * len(plot.points)
    for (x, y), name, look in zip(plot.points, plot.ids, looks):
        axis.plot(x, y, marker="o", linestyle="", gid=name, **look)
    axis.set_xlabel(fit(plot.x_label, across))
    axis.set_ylabel(fit(plot.y_label, down))
    axis.grid()
    axis.margins(0.12)
    if plot.prepare is not None:
        plot.prepare(axis)
    add_title(axis, plot.heading, across)
    for number, line in enumerate(note):
        top = MARGIN + _ABOVE + down + _BELOW + _ROW * number
        add_text(figure, MARGIN + _LEFT, top, line, color=MUTED)
    return figure, axis


def _list(figure: Figure, entries: Sequence[str], top: float, across: int, room: float) -> None:
    """The entries in columns, from this height."""
    for column, part in enumerate(chunks(entries, -(-len(entries) // across) or 1)):
        for row, entry in enumerate(part):
            left = MARGIN + column * room / across
            add_text(figure, left, top + _ROW * row, fit(entry, room / across - 3))
