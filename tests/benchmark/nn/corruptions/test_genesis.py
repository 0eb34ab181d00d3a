"""Corruptions of Models Genesis against slow loops written from their descriptions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.errors import InputError
from benchmark.nn.corruptions.genesis import (
    Boxes,
    LocalShuffling,
    Painting,
    RandomFlips,
    draw_boxes,
    last_box,
)

SIZE = 42


def frames(count: int, size: int = SIZE) -> torch.Tensor:
    # All pixels of a frame are different, so that it can be seen where one came from.
    rng = np.random.default_rng(0)
    grey = np.stack([rng.permutation(size * size) for _ in range(count)]) / (size * size)
    return torch.from_numpy(grey).float().view(count, size, size)


def numbers(count: int, width: int, seed: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.uniform(0.001, 0.999, (count, width))).float()


def below(u: float, count: int) -> int:
    """A uniform integer from 0 to count − 1."""
    return int(np.float32(u) * np.float32(count))


def slow_flips(x: np.ndarray, noise: np.ndarray, flips: RandomFlips) -> np.ndarray:
    left = 0
    while left < flips.most and noise[left] < flips.probability:
        axis = below(noise[flips.most + left], 3)
        if axis > 0:
            x = np.flip(x, axis - 1)
        left += 1
    return x


def slow_shuffling(x: np.ndarray, noise: np.ndarray, shuffling: LocalShuffling) -> np.ndarray:
    size, largest = len(x), len(x) // 10
    if noise[0] >= shuffling.probability:
        return x
    boxes = noise[1 : 1 + 4 * shuffling.windows].reshape(-1, 4)
    keys = noise[1 + 4 * shuffling.windows :].reshape(shuffling.windows, largest**2)
    result = x.copy()
    for (u_height, u_width, u_top, u_left), key in zip(boxes, keys):
        height, width = 1 + below(u_height, largest), 1 + below(u_width, largest)
        top, left = below(u_top, size - height + 1), below(u_left, size - width + 1)
        window = x[top : top + height, left : left + width].ravel()
        window = window[np.argsort(key[: height * width], kind="stable")]
        result[top : top + height, left : left + width] = window.reshape(height, width)
    return result


def slow_painting(x: np.ndarray, noise: np.ndarray, painting: Painting) -> np.ndarray:
    size, margin = len(x), 3
    if noise[0] >= painting.probability:
        return x
    chain, places = noise[2:7], noise[7:27].reshape(5, 4)
    values = noise[27:].reshape(size, size)

    def box(number: int, low: int, high: int) -> tuple[slice, slice]:
        u_height, u_width, u_top, u_left = places[number]
        height, width = (low + below(u, high - low + 1) for u in (u_height, u_width))
        top = margin + below(u_top, size - height - 2 * margin + 1)
        left = margin + below(u_left, size - width - 2 * margin + 1)
        return slice(top, top + height), slice(left, left + width)

    if noise[1] < painting.inside:
        result, number = x.copy(), 0
        while number < 5 and chain[number] < painting.more:
            hole = box(number, size // 6, size // 3)
            result[hole] = values[hole]
            number += 1
        return result
    result, number = values.copy(), 0
    while number == 0 or (number < 5 and chain[number] < painting.more):
        window = box(number, size - 4 * size // 7, size - 3 * size // 7)
        result[window] = x[window]
        number += 1
    return result


@pytest.mark.parametrize(
    ("change", "slow"),
    [
        (RandomFlips(), slow_flips),
        (RandomFlips(probability=0.9), slow_flips),
        (LocalShuffling(windows=60), slow_shuffling),
        (LocalShuffling(probability=1.0, windows=400), slow_shuffling),
        (Painting(), slow_painting),
        (Painting(inside=1.0, more=0.6), slow_painting),
        (Painting(inside=0.0, more=0.3), slow_painting),
    ],
)
def test_augmentations_match_the_description(change, slow) -> None:
    """Forty frames with given random numbers, each in a loop: equal to the last bit."""
    grey, noise = frames(40), numbers(40, change.draws(SIZE))
    found = change(grey, noise)
    for x, u, y in zip(grey.numpy(), noise.numpy(), found.numpy()):
        np.testing.assert_array_equal(y, slow(x, u, change))


def test_windows_cover_a_view_as_often_as_in_the_released_code() -> None:
    """10 000 windows of up to 6×6×3 in 64×64×32 voxels, and ours at 224²: 1.87 and 1.84 times."""
    cubes = 10_000 * np.mean(np.arange(1, 7)) ** 2 * np.mean(np.arange(1, 4)) / (64 * 64 * 32)
    side = LocalShuffling().side(224)
    ours = LocalShuffling().windows * np.mean(np.arange(1, side + 1)) ** 2 / 224**2
    assert side == 22
    assert ours == pytest.approx(cubes, rel=0.02)


@pytest.mark.parametrize("largest", [1, 2, 3, 7, 8])
def test_last_box_matches_painting_in_order(largest: int) -> None:
    boxes = draw_boxes(numbers(3, 4 * 30).unflatten(1, (30, 4)), 25, (1, largest))
    found = last_box(boxes, 25, largest)
    for sample in range(3):
        expected = np.full((25, 25), -1)
        for number in range(30):
            top, left, height, width = (int(part[sample, number]) for part in boxes)
            expected[top : top + height, left : left + width] = number
        np.testing.assert_array_equal(found[sample].numpy(), expected)


def test_boxes_cover_all_sides_and_positions() -> None:
    tiny, huge = 2.0**-24, 1 - 2.0**-24
    noise = torch.tensor([[[tiny, huge, tiny, huge], [huge, tiny, huge, tiny]]])
    boxes = draw_boxes(noise, 224, (96, 128), margin=3)
    expected = Boxes(*(torch.tensor([pair]) for pair in ([3, 93], [93, 3], [96, 128], [128, 96])))
    assert all(torch.equal(a, b) for a, b in zip(boxes, expected))


def test_sides_at_224_match_the_code() -> None:
    """Holes of 37 to 74 pixels; windows of 224 − 128 to 224 − 96."""
    assert Painting()._sides(224) == ((37, 74), (96, 128))
    assert LocalShuffling().side(30) == 3


def test_too_small_views_are_refused() -> None:
    with pytest.raises(InputError, match="a view of 12² is too small"):
        Painting()(torch.rand(1, 12, 12), numbers(1, Painting().draws(12)))
