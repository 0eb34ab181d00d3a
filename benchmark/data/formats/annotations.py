"""Polygons, boxes and class names from annotation files: parsed, or refused with the reason.

Shared by all readers. Any nesting of a polygon's brackets is accepted; whatever would require
guessing is refused: numbers as text, normalised coordinates, swapped corners, decimal commas, and
names that merely resemble a class.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

Polygon = tuple[float, ...]
Box = tuple[float, float, float, float]

MAX_POINTS = 1 << 14
MAX_COORDINATE = 1e5
"""Larger coordinates are out of range: no readable image is that large."""
BOX_EDGES = ("xmin", "ymin", "xmax", "ymax")

_DECIMAL_COMMA = re.compile(r"\s*-?\d+,\d+\s*", re.ASCII)
# Normalised coordinates may slightly exceed the image, as pixel coordinates may.
_NORMALISED = (-0.1, 1.1)


def is_integer(value: Any) -> bool:
    """Whether a JSON value is an integer; bool is a subclass of int in Python."""
    return isinstance(value, int) and not isinstance(value, bool)


def class_name(value: Any) -> str | None:
    """A class name in lower case, an integer as its digits; None for anything else."""
    if is_integer(value):
        return str(value)
    return value.strip().casefold() if isinstance(value, str) else None


def parse_polygons(segmentation: Any) -> tuple[list[Polygon], list[str]]:
    """The polygons of one annotation, and the reasons for unusable ones.

    Polygons are lists x0, y0, x1, y1, … as in COCO; a single polygon without the outer list, and
    points [x, y] instead of bare numbers, are accepted too.
    """
    if not isinstance(segmentation, list):
        return [], ["damaged annotation entry"]
    if not segmentation:
        return [], ["annotation without a polygon"]
    flat = not any(isinstance(value, list) for value in segmentation)
    polygons, reasons = [], []
    for polygon in [segmentation] if flat or _is_point_list(segmentation) else segmentation:
        if isinstance(polygon, list) and _is_point_list(polygon):
            polygon = [value for point in polygon for value in point]
        reason = polygon_error(polygon)
        if reason is None:
            polygons.append(tuple(map(float, polygon)))
        else:
            reasons.append(reason)
    return polygons, reasons


def _is_point_list(polygon: list[Any]) -> bool:
    return bool(polygon) and all(
        isinstance(point, list) and len(point) == 2 and not isinstance(point[0], list)
        for point in polygon
    )


def polygon_error(polygon: Any) -> str | None:
    """Why a polygon cannot be drawn, or None if it can."""
    if not isinstance(polygon, list):
        return "polygon is not a list of numbers"
    if any(isinstance(value, str) for value in polygon):
        return "polygon with numbers as text"
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in polygon):
        return "polygon is not a list of numbers"
    if len(polygon) % 2:
        return "polygon with an odd number of coordinates"
    if len(polygon) < 6:
        return "polygon with fewer than 3 points"
    if len(polygon) > 2 * MAX_POINTS:
        return "polygon with too many points"
    # Before any conversion: an int of hundreds of digits overflows a float.
    if not all(-MAX_COORDINATE <= value <= MAX_COORDINATE for value in polygon):
        return "polygon with out-of-range coordinates"
    if _is_collinear(polygon[::2], polygon[1::2]):
        return "polygon of zero area"
    if _is_normalised(polygon):
        return "polygon in normalised coordinates, not pixels"
    return None


def _is_collinear(x: Sequence[float], y: Sequence[float]) -> bool:
    """Whether all points lie on one line."""
    offsets = [(a - x[0], b - y[0]) for a, b in zip(x, y)]
    far_x, far_y = max(offsets, key=lambda offset: abs(offset[0]) + abs(offset[1]))
    return all(a * far_y == b * far_x for a, b in offsets)


def _is_normalised(values: Sequence[float]) -> bool:
    return _NORMALISED[0] <= min(values) and max(values) <= _NORMALISED[1]


def polygon_note(polygon: Sequence[float], height: int, width: int) -> str | None:
    """Note on a polygon outside the image, clipped or below a pixel (by bounding box), or None."""
    (left, right), (upper, lower) = (
        (min(values), max(values)) for values in (polygon[::2], polygon[1::2])
    )
    if right <= 0 or lower <= 0 or left >= width or upper >= height:
        return "polygon outside the image"
    # A pixel belongs to the polygon if its centre lies inside.
    if math.ceil(left - 0.5) >= right - 0.5 or math.ceil(upper - 0.5) >= lower - 0.5:
        return "polygon smaller than a pixel"
    if left < 0 or upper < 0 or right > width or lower > height:
        return "polygon clipped to the image"
    return None


def parse_box(edges: Sequence[str]) -> Box | str:
    """Parse x0, y0, x1, y1, or give the reason why they are not a box."""
    if any(map(_DECIMAL_COMMA.fullmatch, edges)):
        return "box with decimal commas"
    try:
        x0, y0, x1, y1 = box = tuple(float(edge) for edge in edges)
    except ValueError:
        return "damaged box"
    if not all(math.isfinite(edge) and abs(edge) <= MAX_COORDINATE for edge in box):
        return "damaged box"
    if x0 == x1 or y0 == y1:
        return "box of zero area"
    if _is_normalised(box):
        return "box in normalised coordinates, not pixels"
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else "box with swapped corners"


def clip_box(box: Box, height: int, width: int) -> tuple[Box | None, str | None]:
    """The part of a box inside the image, or None, and a note on any clipping."""
    x0, x1 = (min(max(edge, 0.0), float(width)) for edge in box[::2])
    y0, y1 = (min(max(edge, 0.0), float(height)) for edge in box[1::2])
    if x0 >= x1 or y0 >= y1:
        return None, "box outside the image"
    if min(x1 - x0, y1 - y0) < 1:
        return None, "box narrower than one pixel"
    inside = (x0, y0, x1, y1)
    return inside, None if inside == box else "box clipped to the image"
