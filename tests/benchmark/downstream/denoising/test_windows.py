"""Frames in overlapping windows: where they lie, and that nothing is lost between them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from benchmark.downstream.denoising.windows import in_windows, mirrored, window_starts


@pytest.mark.parametrize(
    ("length", "window", "overlap", "starts"),
    [
        (224, 224, 0.25, [0]),
        (225, 224, 0.25, [0, 1]),
        # At most 168 pixels apart: 288 pixels are two steps of 144.
        (512, 224, 0.25, [0, 144, 288]),
        (300, 100, 0.0, [0, 100, 200]),
        (301, 100, 0.0, [0, 67, 134, 201]),
        (10, 4, 0.5, [0, 2, 4, 6]),
        (4, 1, 0.9, [0, 1, 2, 3]),
    ],
)
def test_windows_begin_where_worked_out_by_hand(length, window, overlap, starts):
    assert window_starts(length, window, overlap) == starts


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8])
def test_neighbours_share_what_is_asked_for(overlap):
    for length in range(24, 160, 7):
        starts = window_starts(length, 24, overlap)
        assert (starts[0], starts[-1]) == (0, length - 24)
        shared = [24 - (b - a) for a, b in pairwise(starts)]
        assert all(24 * overlap <= pixels < 24 for pixels in shared)


def test_short_axes_are_mirrored_and_long_ones_left():
    assert mirrored(3, 8).tolist() == [0, 1, 2, 2, 1, 0, 0, 1]
    assert mirrored(3, 2).tolist() == [0, 1, 2]
    assert mirrored(1, 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [(64, 64), (512, 512), (100, 201), (65, 64), (40, 90), (7, 5)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_blending_gives_the_identity_back_exactly(size, overlap):
    """Not one of the grey values changes, whatever the frame's size."""
    frame = torch.randint(0, 256, (1, *size), generator=torch.Generator().manual_seed(0)).float()
    assert torch.equal(in_windows(lambda part: part, frame, 64, overlap), frame)


def test_the_result_is_the_weighted_mean_over_the_windows():
    """Windows that disagree, against the sum written out pixel by pixel in double precision."""
    generator = torch.Generator().manual_seed(1)
    frame = torch.randn(1, 19, 13, generator=generator)
    # Four by two windows of 7², each with a result of its own.
    starts = [(y, x) for y in (0, 4, 8, 12) for x in (0, 3, 6)]
    results = torch.randn(len(starts), 1, 7, 7, generator=generator)
    seen: list[Tensor] = []

    def network(part: Tensor) -> Tensor:
        done = len(seen)
        seen.extend(part)
        return results[done : done + len(part)]

    blended = in_windows(network, frame, 7, 0.4, batch=5)
    assert len(seen) == len(starts)
    for (y, x), part in zip(starts, seen):
        assert torch.equal(part, frame[:, y : y + 7, x : x + 7])
    for row in range(19):
        for column in range(13):
            total = weights = 0.0
            for (y, x), result in zip(starts, results.double()):
                down, right = row - y, column - x
                if 0 <= down < 7 and 0 <= right < 7:
                    weight = min(down + 1, 7 - down) * min(right + 1, 7 - right)
                    total += weight * float(result[0, down, right])
                    weights += weight
            assert float(blended[0, row, column]) == pytest.approx(total / weights, abs=1e-6)


def test_the_network_meets_windows_of_its_size_only():
    shapes = []

    def network(part: Tensor) -> Tensor:
        shapes.append(tuple(part.shape))
        return 2 * part

    frame = torch.rand(1, 30, 90)
    doubled = in_windows(network, frame, 32, 0.25, batch=2)
    assert shapes == [(2, 1, 32, 32), (2, 1, 32, 32)]
    torch.testing.assert_close(doubled, 2 * frame, rtol=1e-6, atol=1e-6)
