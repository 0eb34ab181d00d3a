"""Outlines, boxes and classes as annotation files give them: taken, or refused with the reason.

Every reader takes them through here. How an outline is bracketed does not matter; what would have
to be guessed is refused: numbers as text, shares of the side instead of pixels, swapped corners,
commas in numbers, and names that are nearly those of a class.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from benchmark.data.formats.list_files import MAX_COORDINATE

Polygon = tuple[float, ...]
Box = tuple[float, float, float, float]

MAX_POINTS = 1 << 14
EDGES = ("xmin", "ymin", "xmax", "ymax")

_COMMA = re.compile(r"\s*-?\d+,\d+\s*", re.ASCII)
# Shares of the side may leave the picture a little, as pixels may.
_SHARES = (-0.1, 1.1)


def is_whole_number(value: Any) -> bool:
    """Whether a JSON value is an integer; true and false are integers to Python only."""
    return isinstance(value, int) and not isinstance(value, bool)


def class_name(value: Any) -> str | None:
    """The name of a class in lower case, a number as its digits; None for anything else."""
    if is_whole_number(value):
        return str(value)
    return value.strip().casefold() if isinstance(value, str) else None


def read_outline(listed: Any) -> tuple[list[Polygon], list[str]]:
    """Polygons of one annotation, and the reasons for those that cannot be used.

    Args:
        listed: a list of polygons x0, y0, x1, y1, …, as COCO has it; the numbers of a single
            polygon without a list around them, or points [x, y] instead of bare numbers, are the
            same.
    """
    if not isinstance(listed, list):
        return [], ["damaged annotation entry"]
    if not listed:
        return [], ["annotation without a polygon"]
    alone = not any(isinstance(value, list) for value in listed) or _has_points(listed)
    polygons, reasons = [], []
    for polygon in [listed] if alone else listed:
        if isinstance(polygon, list) and _has_points(polygon):
            polygon = [value for point in polygon for value in point]
        reason = polygon_fault(polygon)
        if reason is None:
            polygons.append(tuple(map(float, polygon)))
        else:
            reasons.append(reason)
    return polygons, reasons


def _has_points(polygon: list[Any]) -> bool:
    return bool(polygon) and all(
        isinstance(point, list) and len(point) == 2 and not isinstance(point[0], list)
        for point in polygon
    )


def polygon_fault(polygon: Any) -> str | None:
    """Why a listed polygon cannot be drawn, or None if it can."""
    if not isinstance(polygon, list):
        return "polygon is not a list of numbers"
    if any(isinstance(value, str) for value in polygon):
        return "polygon with numbers as text"
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in polygon):
        return "polygon is not a list of numbers"
    if len(polygon) % 2:
        return "polygon with an odd number of coordinates"
    if len(polygon) < 6:
        return "polygon of fewer than 3 points"
    if len(polygon) > 2 * MAX_POINTS:
        return "polygon of too many points"
    # Compared before any conversion: an int of hundreds of digits does not become a float.
    if not all(-MAX_COORDINATE <= value <= MAX_COORDINATE for value in polygon):
        return "polygon with absurd coordinates"
    if _is_flat(polygon[::2], polygon[1::2]):
        return "polygon without an area"
    return "polygon in shares of the side, not pixels" if _are_shares(polygon) else None


def _is_flat(x: Sequence[float], y: Sequence[float]) -> bool:
    """Whether all points lie on one line."""
    across = [(a - x[0], b - y[0]) for a, b in zip(x, y)]
    far_x, far_y = max(across, key=lambda step: abs(step[0]) + abs(step[1]))
    return all(a * far_y == b * far_x for a, b in across)


def _are_shares(values: Sequence[float]) -> bool:
    return _SHARES[0] <= min(values) and max(values) <= _SHARES[1]


def polygon_note(polygon: Sequence[float], height: int, width: int) -> str | None:
    """What the picture's edge or grid does to a polygon, by its bounding box; None if nothing."""
    (left, right), (upper, lower) = (
        (min(values), max(values)) for values in (polygon[::2], polygon[1::2])
    )
    if right <= 0 or lower <= 0 or left >= width or upper >= height:
        return "polygon outside the image"
    # Pixels are drawn by their centres.
    if math.ceil(left - 0.5) >= right - 0.5 or math.ceil(upper - 0.5) >= lower - 0.5:
        return "polygon without a pixel"
    if left < 0 or upper < 0 or right > width or lower > height:
        return "polygon clipped to the image"
    return None


def read_box(edges: Sequence[str]) -> Box | str:
    """x0, y0, x1, y1 from their text, or the reason why they are no box."""
    if any(map(_COMMA.fullmatch, edges)):
        return "box with commas in its numbers"
    try:
        x0, y0, x1, y1 = box = tuple(float(edge) for edge in edges)
    except ValueError:
        return "damaged box"
    if not all(math.isfinite(edge) and abs(edge) <= MAX_COORDINATE for edge in box):
        return "damaged box"
    if x0 == x1 or y0 == y1:
        return "box without an area"
    if _are_shares(box):
        return "box in shares of the side, not pixels"
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else "box with swapped corners"


def fit_box(box: Box, height: int, width: int) -> tuple[Box | None, str | None]:
    """The part of a box inside the picture, or None; and what is odd about it, or None."""
    x0, x1 = (min(max(edge, 0.0), float(width)) for edge in box[::2])
    y0, y1 = (min(max(edge, 0.0), float(height)) for edge in box[1::2])
    if x0 >= x1 or y0 >= y1:
        return None, "box outside the image"
    if min(x1 - x0, y1 - y0) < 1:
        return None, "box narrower than one pixel"
    inside = (x0, y0, x1, y1)
    return inside, None if inside == box else "box clipped to the image"
