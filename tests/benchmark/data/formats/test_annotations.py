"""Polygons, boxes and class names: what is accepted, and why everything else is refused."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.data.formats.annotations import (
    MAX_POINTS,
    class_name,
    clip_box,
    parse_box,
    parse_polygons,
    polygon_error,
    polygon_note,
)
from benchmark.data.formats.polygons import draw_polygon

TRIANGLE = [2, 2, 9.5, 2, 9.5, 8]
OTHER = [20, 20, 30, 20, 30, 31]


def _points(numbers):
    return [list(point) for point in zip(numbers[::2], numbers[1::2])]


@pytest.mark.parametrize(
    ("listed", "polygons"),
    [
        ([TRIANGLE], [TRIANGLE]),
        ([TRIANGLE, OTHER], [TRIANGLE, OTHER]),
        (TRIANGLE, [TRIANGLE]),
        (_points(TRIANGLE), [TRIANGLE]),
        ([_points(TRIANGLE)], [TRIANGLE]),
        ([_points(TRIANGLE), _points(OTHER)], [TRIANGLE, OTHER]),
        ([_points(TRIANGLE), OTHER], [TRIANGLE, OTHER]),
    ],
)
def test_polygon_nesting(listed, polygons):
    assert parse_polygons(listed) == ([tuple(polygon) for polygon in polygons], [])


INVALID = {
    "annotation without a polygon": [[]],
    "damaged annotation entry": ["2 2 9 2 9 8", 7],
    "polygon with fewer than 3 points": [[[]], [[2, 2], [9, 2]], [[2, 2, 9, 2]]],
    "polygon with numbers as text": [
        *(list(map(str, TRIANGLE)), [list(map(str, TRIANGLE))], _points(list(map(str, TRIANGLE)))),
        ["2,5", "2,5", "9,5", "2,5", "9,5", "8,5"],
    ],
    "polygon is not a list of numbers": [[{"x": 2, "y": 2}, {"x": 9}], [None], [[[TRIANGLE]]]],
}


@pytest.mark.parametrize("reason", INVALID)
def test_invalid_polygons_are_refused(reason):
    for listed in INVALID[reason]:
        assert parse_polygons(listed) == ([], [reason])


def test_usable_polygons_are_kept():
    usable, reasons = parse_polygons([TRIANGLE, ["1"], OTHER])
    assert usable == [tuple(TRIANGLE), tuple(OTHER)]
    assert reasons == ["polygon with numbers as text"]


POLYGONS = {
    None: [
        *([0, 0, 2, 0, 2, 1], [0, 0, 1, 0, 1, 1.11], [0, 0, 1, 0, 1, -0.11]),
        *([1, 1, 3, 2, 9, 5, 5, 3.1], [2, 2, 22, 22, 22, 2, 2, 22]),
    ],
    "polygon with an odd number of coordinates": [[0, 0, 1, 0, 1.0]],
    "polygon with fewer than 3 points": [[0, 0, 1, 0], []],
    "polygon with out-of-range coordinates": [
        [0, 0, 1, 0, 1, value] for value in (float("inf"), float("nan"), 10**400)
    ],
    "polygon is not a list of numbers": [[0, 0, 1, 0, 1, None], [0, 0, 1, 0, 1, True], {}],
    "polygon with too many points": [[0.0] * 2 * (MAX_POINTS + 1)],
    "polygon of zero area": [[5, 5] * 4, [1, 3, 8, 3, 4, 3, 2, 3], [1, 1, 3, 2, 9, 5, 5, 3]],
    "polygon in normalised coordinates, not pixels": [
        *([0, 0, 1, 0, 1, 1], [0.31, 0.19, 0.32, 0.2, 0.3, -0.004]),
    ],
}


@pytest.mark.parametrize("reason", POLYGONS)
def test_unusable_polygons(reason):
    assert {polygon_error(polygon) for polygon in POLYGONS[reason]} == {reason}


@pytest.mark.parametrize(
    ("shift", "note"),
    [
        ((0, 0), None),
        ((0.5, 0.5), "polygon clipped to the image"),
        ((-10, -10), "polygon outside the image"),
        ((0, 10), "polygon outside the image"),
    ],
)
def test_polygons_beyond_the_image(shift, note):
    square = np.array([0.0, 0, 10, 0, 10, 10, 0, 10]) + shift * 4
    assert polygon_note(square.tolist(), 10, 10) == note


def test_polygon_without_a_pixel_centre():
    rng = np.random.default_rng(0)
    for _ in range(200):
        left, upper = rng.integers(4, 20, 2) / 2
        right, lower = np.array([left, upper]) + rng.choice([0.25, 0.5, 1, 1.25], 2)
        points = [left, upper, right, upper, right, lower, left, lower]
        mask = np.zeros((16, 16), dtype=bool)
        draw_polygon(mask, points)
        assert (polygon_note(points, 16, 16) == "polygon smaller than a pixel") == (not mask.any())


BOXES = {
    (1.0, 2.0, 3.5, 4.0): ["1| 2|3.5|4e0"],
    (-4.0, 2.0, 3.0, 4.0): ["-4|2|3|4"],
    (0.0, 0.0, 1.2, 1.0): ["0|0|1.2|1"],
    "box of zero area": ["3|2|3|4", "1|2|3|2"],
    "box with swapped corners": ["3|2|1|4", "1|4|3|2"],
    "box with decimal commas": ["20,5|20|50,5|50", "1,024|20|1,100|50"],
    "box in normalised coordinates, not pixels": ["0.2|0.3|0.4|1", "0|0|1|1"],
    "damaged box": ["nan|2|3|4", "1|2|inf|4", "1|2|3|1e9", "|2|3|4", "1|2|3|x", "1|2|3"],
}


@pytest.mark.parametrize("box", BOXES)
def test_parse_box(box):
    assert {parse_box(text.split("|")) for text in BOXES[box]} == {box}


@pytest.mark.parametrize(
    ("box", "inside", "note"),
    [
        ((1, 2, 3, 4), (1, 2, 3, 4), None),
        ((0, 0, 20, 10), (0, 0, 20, 10), None),
        ((-1, -2, 30, 4), (0, 0, 20, 4), "box clipped to the image"),
        ((20, 0, 30, 4), None, "box outside the image"),
        ((0, -4, 5, 0), None, "box outside the image"),
        ((-30, 0, -20, 4), None, "box outside the image"),
        ((1, 2, 1.9, 4), None, "box narrower than one pixel"),
        ((19.5, 2, 40, 4), None, "box narrower than one pixel"),
        ((19, 2, 40, 4), (19, 2, 20, 4), "box clipped to the image"),
    ],
)
def test_clip_box(box, inside, note):
    assert clip_box(box, 10, 20) == (inside, note)


def test_class_names():
    assert [class_name(value) for value in (" Stenosis ", "10A", 10)] == ["stenosis", "10a", "10"]
    assert [class_name(value) for value in (None, 1.5, True, ["x"])] == [None] * 4
