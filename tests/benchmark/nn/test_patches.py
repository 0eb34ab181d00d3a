"""Patches against loops: order (row, column, channel), inverse, statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.nn.patches import patchify, standardise, unpatchify

SHAPES = [((2, 3, 8, 12), 4), ((1, 1, 6, 4), 2), ((2, 2, 5, 5), 5), ((1, 3, 4, 4), 1)]


def loop_patches(images: np.ndarray, size: int) -> np.ndarray:
    """The official order spelled out: patches in raster order, each (p_row, p_col, channel)."""
    batch, channels, height, width = images.shape
    patches = [
        images[sample, channel, top + row, left + column]
        for sample in range(batch)
        for top in range(0, height, size)
        for left in range(0, width, size)
        for row in range(size)
        for column in range(size)
        for channel in range(channels)
    ]
    return np.array(patches).reshape(batch, -1, size * size * channels)


@pytest.mark.parametrize(("shape", "size"), SHAPES)
def test_order_and_inverse(shape: tuple[int, int, int, int], size: int) -> None:
    images = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    patches = patchify(torch.from_numpy(images), size)
    np.testing.assert_array_equal(patches.numpy(), loop_patches(images, size))
    grid = (shape[2] // size, shape[3] // size)
    np.testing.assert_array_equal(unpatchify(patches, size, grid).numpy(), images)


def test_statistics_are_unbiased_with_epsilon() -> None:
    """Mean and √(Σ(x − x̄)²/(n − 1) + 1e-6) in double precision; a constant patch gives 1e-3."""
    patches = np.random.default_rng(0).normal(0.3, 1.5, (2, 3, 48))
    patches[0, 1] = 0.25
    standard, mean, std = standardise(torch.from_numpy(patches))
    for sample in range(2):
        for patch in range(3):
            values = patches[sample, patch]
            average = sum(values) / 48
            variance = sum((value - average) ** 2 for value in values) / 47
            assert mean[sample, patch, 0].item() == pytest.approx(average, rel=1e-12)
            assert std[sample, patch, 0].item() == pytest.approx((variance + 1e-6) ** 0.5)
            expected = (values - average) / (variance + 1e-6) ** 0.5
            np.testing.assert_allclose(standard[sample, patch], expected, rtol=1e-9, atol=1e-12)
    assert std[0, 1, 0].item() == pytest.approx(1e-3, rel=1e-9)
