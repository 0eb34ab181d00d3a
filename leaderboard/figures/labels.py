"""Names beside points and lines, placed so that they cover neither each other nor the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from leaderboard.figures.layout import NARROW, fit_names, widest
from leaderboard.figures.style import INK, MUTED, SMALL

_OFFSET = 3.0  # points between the middle of a point and its label
#: Sides of a point for its label, the preferred ones first.
_SIDES = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))
#: (distance in offsets, side); those further away are tried last.
_SPOTS = [(d, side) for d in (1.0, 2.5, 4.0, 6.0, 8.5, 11.0, 14.0) for side in _SIDES]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places at least `gap` apart, near the wanted ones, in their order.

    All are within `low` and `high` if there is room for them; otherwise they leave it below `low`.
    """
    order = np.argsort(wanted, kind="stable")
    placed: list[float] = []
    for index in order:
        least = placed[-1] + gap if placed else low
        placed.append(max(float(wanted[index]), least))
    limit = high
    for place in reversed(range(len(placed))):
        placed[place] = min(placed[place], limit)
        limit = placed[place] - gap
    result = [0.0] * len(placed)
    for index, value in zip(order, placed):
        result[index] = value
    return result


@dataclass(frozen=True)
class LineName:
    """The name of a line, and where the line ends in the units of the axes."""

    name: str
    x: float
    y: float
    colour: str


_LEADER, _CLEAR = 4.0, 0.8  # mm from the axes to the names of lines; before a name


def name_room(names: Sequence[str], most: float) -> float:
    """Width in mm for the names of lines beside the axes, with the lines that lead to them."""
    return min(most, _LEADER + widest(names) + 0.5)


def label_lines(
    axis: Axes, names: Sequence[LineName], size: tuple[float, float], room: float
) -> None:
    """Name lines on the right of the axes, in their colours and without overlaps.

    A thin line leads from the end of each to its name. The limits of the axes must be final.

    Args:
        size: width and height of the axes in mm.
        room: of the names, in mm (`name_room`).
    """
    if not names:
        return
    width, height = size
    to_axes = axis.transData + axis.transAxes.inverted()
    ends = to_axes.transform([(name.x, name.y) for name in names])
    # Up to half a row beyond the axes on both sides.
    low = -max(0.0, NARROW * (len(names) - 1) - height) / 2
    places = spread((ends[:, 1] * height).tolist(), NARROW, low, height - low)
    look = {"transform": axis.transAxes, "va": "center_baseline", "fontsize": SMALL, "gid": "name"}
    texts = fit_names([name.name for name in names], room - _LEADER)
    for name, text, end, place in zip(names, texts, ends, places):
        axis.text(1 + _LEADER / width, place / height, text, color=name.colour, **look)
        path = [end, (1 + (_LEADER - _CLEAR) / width, place / height)]
        leader = {"colors": name.colour, "linewidths": 0.4, "alpha": 0.6, "clip_on": False}
        axis.add_collection(
            LineCollection([path], transform=axis.transAxes, **leader), autolim=False
        )


def label_points(
    axis: Axes,
    points: Sequence[tuple[float, float]],
    titles: Sequence[str],
    lines: Sequence[tuple[tuple[float, float], tuple[float, float]]] = (),
    drop: bool = False,
) -> int:
    """Name every point beside it, where the name covers no other point or name.

    A thin line leads to a name that had to move away from its point. The limits and the place of
    the axes must be final.

    Args:
        points: (x, y) in the units of the axes.
        lines: ends of horizontal and vertical lines that no name may cover either.
        drop: whether names without room are left out, instead of covering something.

    Returns:
        How many names there was no room for.
    """
    if not points:
        return 0
    axis.get_xlim(), axis.get_ylim()  # Limits that follow the data are computed when asked for.
    renderer = axis.get_figure().canvas.get_renderer()
    size = renderer.points_to_pixels(_OFFSET / 2)
    places = axis.transData.transform(points)
    taken = [Bbox([place - size, place + size]) for place in places]
    taken += [Bbox(np.sort(axis.transData.transform(ends), axis=0)).padded(1) for ends in lines]
    # Crowded points choose first: they have the fewest free sides.
    crowd = np.linalg.norm(places[:, None] - places, axis=-1) < 20 * size
    leaders, without = [], 0
    for index in np.argsort(-crowd.sum(axis=1), kind="stable"):
        look = {"textcoords": "offset points", "fontsize": SMALL, "color": INK}
        label = axis.annotate(titles[index], points[index], (0, 0), gid="name", **look)

        def cost(spot: tuple[float, tuple[int, int]], label: Annotation = label) -> int:
            _put(label, *spot)
            box = label.get_window_extent(renderer)
            outside = not _contains(axis.bbox, box)
            return sum(map(box.overlaps, taken)) + len(taken) * outside

        costs = map(cost, _SPOTS)
        least, (distance, side) = min(zip(costs, _SPOTS), key=lambda pair: pair[0])
        without += least > 0
        if least and drop:
            label.remove()
            continue
        _put(label, distance, side)
        box = label.get_window_extent(renderer)
        taken.append(box)
        if distance > 1:
            end = np.clip(places[index], box.min, box.max)
            leaders.append(axis.transData.inverted().transform([places[index], end]))
    look = {"colors": MUTED, "linewidths": 0.4, "zorder": 1.5}
    axis.add_collection(LineCollection(leaders, **look), autolim=False)
    return without


def _contains(outer: Bbox, inner: Bbox) -> bool:
    return bool(np.all(outer.min <= inner.min) and np.all(inner.max <= outer.max))


def _put(label: Annotation, distance: float, side: tuple[int, int]) -> None:
    """Place a label on a side of its point: -1, 0 or 1 to the right, and up."""
    across, up = side
    label.xyann = (_OFFSET * across * distance, _OFFSET * up * distance)
    label.set(ha=("center", "left", "right")[across], va=("center", "bottom", "top")[up])
