"""Rasterised polygons and run lengths, against shapely and pycocotools."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import shapely
from pycocotools import mask as coco_mask

from benchmark.data.formats.coco import decode_run_lengths
from benchmark.data.formats.polygons import draw_polygon, draw_runs, resize_nearest
from benchmark.data.synthetic.raw.arcade import mask_polygons, run_lengths

HEIGHT, WIDTH = 40, 56


def _drawn(points, height=HEIGHT, width=WIDTH):
    mask = np.zeros((height, width), dtype=bool)
    draw_polygon(mask, np.ravel(points))
    return mask


def _centres_inside(polygon):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return shapely.contains_xy(polygon, columns, rows)


def _star(seed, centre=(28.0, 20.0)):
    """A simple polygon: vertices sorted by angle."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 12))
    radius = rng.uniform(2, 30, 12)
    return np.stack([np.cos(angle) * radius, np.sin(angle) * radius], axis=1) + centre


def test_rectangles_cover_pixel_centres():
    mask = _drawn([[2, 3], [5, 3], [5, 7], [2, 7]])
    expected = np.zeros_like(mask)
    expected[3:7, 2:5] = True
    np.testing.assert_array_equal(mask, expected)
    # 2.4 … 4.6 holds the centres 2.5, 3.5 and 4.5; 2.6 … 4.4 only 3.5.
    assert _drawn([[2.4, 0], [4.6, 0], [4.6, 1], [2.4, 1]])[0].nonzero()[0].tolist() == [2, 3, 4]
    assert _drawn([[2.6, 0], [4.4, 0], [4.4, 1], [2.6, 1]])[0].nonzero()[0].tolist() == [3]


@pytest.mark.parametrize("seed", range(20))
def test_simple_polygons_agree_with_shapely(seed):
    points = _star(seed)
    polygon = shapely.Polygon(points)
    if not polygon.is_valid:
        polygon = shapely.make_valid(polygon)
    mask = _drawn(points)
    np.testing.assert_array_equal(mask, _centres_inside(polygon))
    np.testing.assert_array_equal(mask, _drawn(points[::-1]))
    visible = polygon.intersection(shapely.box(0, 0, WIDTH, HEIGHT))
    # Only pixels on the outline differ, each by less than its area.
    assert abs(mask.sum() - visible.area) <= 1 + visible.length


def test_adjacent_polygons_tile():
    # Vertices on pixel centres exercise the tie rule.
    left = _drawn([[0.5, 0.5], [10.5, 0.5], [14.5, 20.5], [0.5, 20.5]])
    right = _drawn([[10.5, 0.5], [30.5, 0.5], [30.5, 20.5], [14.5, 20.5]])
    union = _drawn([[0.5, 0.5], [30.5, 0.5], [30.5, 20.5], [0.5, 20.5]])
    assert not (left & right).any()
    np.testing.assert_array_equal(left | right, union)
    assert union.sum() == 30 * 20


def test_self_intersections():
    halves = ([[2, 2], [12, 12], [2, 22]], [[22, 2], [12, 12], [22, 22]])
    lobes = shapely.union_all([shapely.Polygon(half) for half in halves])
    mask = _drawn([[2, 2], [22, 22], [22, 2], [2, 22]])
    # Centres on the crossing lines belong to one lobe only; shapely excludes them.
    assert (mask & _centres_inside(lobes)).sum() == _centres_inside(lobes).sum()
    assert abs(int(mask.sum()) - lobes.area) <= 20
    twice = [[2, 2], [22, 2], [22, 22], [2, 22]] * 2
    np.testing.assert_array_equal(_drawn(twice), _drawn(twice[:4]))
    lapped = [[0, 0], [20, 0], [20, 20], [0, 20], [0, 5], [15, 5], [15, 15], [5, 15], [5, 0]]
    assert _drawn(lapped)[6:14, 6:14].all()


def test_polygons_are_clipped_to_the_image():
    mask = _drawn([[-10, -10], [500, -10], [500, 5], [-10, 5]])
    assert mask[:5].all()
    assert not mask[5:].any()
    for points in (
        [[60, 1], [70, 1], [65, 9]],
        [[-9, 1], [-1, 1], [-5, 9]],
        [[1, 41], [9, 44], [5, 99]],
    ):
        assert not _drawn(points).any()
    np.testing.assert_array_equal(
        _drawn(_star(3, centre=(50, 35))),
        np.pad(_drawn(_star(3, centre=(150, 135)), 140, 156), 0)[100:, 100:],
    )
    # Drawing adds to a mask.
    mask = _drawn([[0, 0], [4, 0], [4, 4], [0, 4]])
    draw_polygon(mask, [2, 2, 6, 2, 6, 6, 2, 6])
    assert mask.sum() == 16 + 16 - 4


@pytest.mark.parametrize("seed", range(6))
def test_run_lengths_agree_with_pycocotools(seed):
    rng = np.random.default_rng(seed)
    # The first two are empty and full.
    truth = cv2.blur(rng.random((33, 47)), (9, 3)) > {0: 2, 1: -1}.get(seed, 0.5)
    packed = coco_mask.encode(np.asfortranarray(truth.astype(np.uint8)))
    runs = decode_run_lengths(packed["counts"].decode())
    mask = np.zeros_like(truth)
    draw_runs(mask, runs)
    np.testing.assert_array_equal(mask, truth)
    plain = coco_mask.frPyObjects(run_lengths(truth), *truth.shape)
    assert plain["counts"] == packed["counts"]


@pytest.mark.parametrize("text", ["\x00", "é", "P", "P" * 40, "ooooooooooooooooooooo0"])
def test_damaged_compressed_run_lengths_are_refused(text):
    assert decode_run_lengths(text) is None


def test_resize_nearest():
    mask = np.random.default_rng(0).random((1, 17, 23)) > 0.5
    for height, width in ((17, 23), (34, 46), (51, 7), (8, 100)):
        expected = cv2.resize(
            mask[0].astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
        np.testing.assert_array_equal(resize_nearest(mask, (height, width))[0], expected)


def test_raw_writer_polygons_reproduce_their_mask():
    mask = cv2.blur(np.random.default_rng(2).random((HEIGHT, WIDTH)), (5, 5)) > 0.54
    filled = np.zeros_like(mask)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    expected = cv2.drawContours(np.zeros(mask.shape, np.uint8), contours, -1, 1, cv2.FILLED) > 0
    for polygon in mask_polygons(mask):
        draw_polygon(filled, polygon)
    np.testing.assert_array_equal(filled, expected)
