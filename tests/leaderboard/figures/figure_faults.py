"""What a reader must never meet in a figure, measured on the drawn figure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from leaderboard.figures import draw


def drawn(*what: Any) -> Figure:
    """A figure that fits on a page."""
    (figure,) = draw(*what)
    return figure


#: mm: the text of an A4 page with margins of 25 mm is 247 high, that of US Letter 229.
PAGE = 229
_SLACK = 0.7  # pixels of rounding


def texts(figure: Figure) -> list[tuple[Text, Bbox]]:
    """The visible texts, without empty ones, and where they are in pixels."""
    renderer = figure.canvas.get_renderer()
    shown = list(figure.texts)
    for legend in figure.legends:
        shown += legend.findobj(Text)
    for axis in figure.axes:
        shown += axis.texts
        if axis.axison:
            shown += [axis.title, axis._left_title, axis.xaxis.label, axis.yaxis.label]
            # Of the ticks, only those within the limits are drawn.
            ticks = [*axis.xaxis._update_ticks(), *axis.yaxis._update_ticks()]
            shown += [label for tick in ticks for label in (tick.label1, tick.label2)]
    shown = [text for text in shown if text.get_visible() and text.get_text().strip()]
    # An annotation's own extent includes what it points at.
    return [(text, Text.get_window_extent(text, renderer)) for text in shown]


def marks(axis: Axes) -> Iterator[np.ndarray]:
    """Places in pixels of the data: the points of lines, and the ends of bars."""
    for line in axis.lines:
        points = np.column_stack([line.get_xdata(), line.get_ydata()]).astype(float)
        yield line.get_transform().transform(points)
    for collection in axis.collections:
        if hasattr(collection, "get_segments"):
            for segment in collection.get_segments():
                yield collection.get_transform().transform(segment)


def looks(axis: Axes) -> list[tuple[str, ...]]:
    """Colour and line style of every line that is a series, for very many also its marker."""
    lines = [line for line in axis.lines if (line.get_gid() or "").startswith(("line:", "run:"))]
    found = [(to_hex(line.get_color()), str(line._unscaled_dash_pattern)) for line in lines]
    return found if len(found) <= 63 else [(*f, str(x.get_marker())) for f, x in zip(found, lines)]


def faults(figure: Figure, width: float) -> list[str]:
    """Everything that is wrong with a figure of this width in mm."""
    wide, high = (25.4 * side for side in figure.get_size_inches())
    found = [] if abs(wide - width) < 0.1 else [f"{wide:.0f} mm wide"]
    if high > PAGE:
        found.append(f"{high:.0f} mm high")
    figure.canvas.draw()
    shown = texts(figure)
    for text, box in shown:
        words = text.get_text()
        if text.get_fontsize() < 6:
            found.append(f"{words!r}: {text.get_fontsize()} pt")
        low, top = (-_SLACK, -_SLACK), figure.bbox.max + _SLACK
        if np.any(box.min < low) or np.any(box.max > top):
            found.append(f"{words!r} leaves the figure: {box.extents.round().tolist()}")
    boxes = np.array([box.extents for _, box in shown])
    inside = np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - np.maximum(
        boxes[:, None, :2], boxes[:, :2]
    )
    for one, other in np.argwhere(np.triu(inside.min(axis=2) > 2 * _SLACK, 1)):
        words = (shown[index][0].get_text() for index in (one, other))
        found.append("{!r} overlaps {!r}".format(*words))
    renderer = figure.canvas.get_renderer()
    legends = [*figure.legends, *(a.get_legend() for a in figure.axes if a.get_legend())]
    for legend, axis in itertools.product(legends, figure.axes):
        box = legend.get_window_extent(renderer)
        if box.overlaps(axis.bbox) or any(map(box.count_contains, marks(axis))):
            found.append("a legend covers data")
    if any(len(set(looks(axis))) < len(looks(axis)) for axis in figure.axes):
        found.append("two series look the same")
    return found
