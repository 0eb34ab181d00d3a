"""Names beside points and lines, placed so that they cover neither each other nor the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from leaderboard.figures.style import INK, MUTED, SMALL
from leaderboard.figures.text import shorten

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


def label_points(axis: Axes, points: Sequence[tuple[float, float]], titles: Sequence[str]) -> None:
    """Name every point beside it, where the name covers no other point or name.

    A thin line leads to a name that had to move away from its point. The limits and the place of
    the axes must be final.

    Args:
        points: (x, y) in the units of the axes.
    """
    figure = axis.get_figure()
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    size = renderer.points_to_pixels(_OFFSET / 2)
    places = axis.transData.transform(points)
    taken = [Bbox([place - size, place + size]) for place in places]
    # Crowded points choose first: they have the fewest free sides.
    crowd = np.linalg.norm(places[:, None] - places, axis=-1) < 20 * size
    leaders = []
    for index in np.argsort(-crowd.sum(axis=1), kind="stable"):
        name = shorten(titles[index], 22)
        look = {"textcoords": "offset points", "fontsize": SMALL, "color": INK}
        label = axis.annotate(name, points[index], (0, 0), gid="name", **look)
        label.set_in_layout(False)

        def cost(spot: tuple[float, tuple[int, int]], label: Annotation = label) -> int:
            _put(label, *spot)
            box = label.get_window_extent(renderer)
            outside = not _contains(axis.bbox, box)
            return sum(map(box.overlaps, taken)) + len(taken) * outside

        distance, side = min(_SPOTS, key=cost)
        _put(label, distance, side)
        box = label.get_window_extent(renderer)
        taken.append(box)
        if distance > 1:
            end = np.clip(places[index], box.min, box.max)
            leaders.append(axis.transData.inverted().transform([places[index], end]))
    axis.add_collection(LineCollection(leaders, colors=MUTED, linewidths=0.4, zorder=1.5))


def _contains(outer: Bbox, inner: Bbox) -> bool:
    return bool(np.all(outer.min <= inner.min) and np.all(inner.max <= outer.max))


def _put(label: Annotation, distance: float, side: tuple[int, int]) -> None:
    """Place a label on a side of its point: -1, 0 or 1 to the right, and up."""
    across, up = side
    label.xyann = (_OFFSET * across * distance, _OFFSET * up * distance)
    label.set(ha=("center", "left", "right")[across], va=("center", "bottom", "top")[up])
