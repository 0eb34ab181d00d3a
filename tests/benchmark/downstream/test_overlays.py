"""Masks and boxes over frames, pixel by pixel."""

from __future__ import annotations

import numpy as np

from benchmark.downstream.overlays import VESSEL, box_outlines, class_colour, overlay


def test_a_mask_is_tinted_and_the_rest_is_grey():
    frame = np.full((4, 4), 100, np.uint8)
    mask = np.zeros((4, 4), bool)
    mask[1, 2] = True
    drawn = overlay(frame, mask)
    assert drawn[1, 2].tolist() == [int(0.45 * 100 + 0.55 * c) for c in VESSEL]
    assert (drawn[~mask] == 100).all()
    again = overlay(drawn, ~mask, (0, 0, 0))  # of RGB
    assert (again[~mask] == 45).all()
    np.testing.assert_array_equal(again[1, 2], drawn[1, 2])
    assert (frame == 100).all()


def test_an_outline_runs_along_the_inside_of_a_box():
    drawn = box_outlines([(2, 1, 4, 3)], (6, 8))
    expected = np.zeros((6, 8), bool)
    expected[1:4, 2:6] = True
    expected[2, 3:5] = False
    np.testing.assert_array_equal(drawn, expected)
    assert not box_outlines([], (6, 8)).any()


def test_colours_of_classes_can_be_told_apart():
    colours = np.array([class_colour(label) for label in range(12)], float)
    assert tuple(colours[0]) == VESSEL
    distances = np.linalg.norm(colours[:, None] - colours, axis=2)
    assert distances[~np.eye(12, dtype=bool)].min() > 25
