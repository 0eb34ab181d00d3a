"""Blurs against loops in double precision and against OpenCV."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from benchmark.nn.corruptions.blur import GaussianBlur


def loop_blur(frame: np.ndarray, sigma: float, radius: int) -> np.ndarray:
    """The two-dimensional sum, pixel by pixel, borders reflected without repeating the edge."""
    height, width = frame.shape
    kernel = [math.exp(-(k**2) / (2 * sigma**2)) for k in range(-radius, radius + 1)]
    total = sum(kernel) ** 2
    padded = np.pad(frame.astype(float), radius, mode="reflect")
    blurred = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            for i, down in enumerate(kernel):
                for j, across in enumerate(kernel):
                    blurred[row, column] += down * across / total * padded[row + i, column + j]
    return blurred


@pytest.fixture
def frames() -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (3, 24, 24), dtype=np.uint8))


def test_equals_loops_inside_the_valid_part(frames: torch.Tensor) -> None:
    valid = torch.tensor([[24, 24], [17, 24], [9, 12]])
    blurred = GaussianBlur(1.1)(frames, valid)
    assert blurred.dtype == torch.uint8
    assert blurred.shape == frames.shape
    for sample, (height, width) in enumerate(valid.tolist()):
        expected = loop_blur(frames[sample, :height, :width].numpy(), 1.1, radius=4)
        found = blurred[sample, :height, :width].numpy()
        # Half a grey level is rounding; float32 may round the other way at the very middle.
        assert np.abs(found - expected).max() < 0.5 + 1e-3


@pytest.mark.parametrize(("sigma", "taps"), [(0.5, 5), (1.1, 9), (1.6, 11), (3.0, 19)])
def test_equals_opencv(sigma: float, taps: int) -> None:
    """As many taps as OpenCV takes for 8-bit images, its kernel, its picture within a grey level.

    OpenCV rounds the weights of 8-bit kernels to 1/256, which is where the levels come from.
    """
    blur = GaussianBlur(sigma)
    assert blur.kernel == pytest.approx(cv2.getGaussianKernel(taps, sigma)[:, 0].tolist())
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (64, 48), dtype=np.uint8)
    padded = torch.zeros(1, 64, 64, dtype=torch.uint8)
    padded[0, :, :48] = torch.from_numpy(picture)
    found = blur(padded, torch.tensor([[64, 48]]))[0, :, :48].numpy().astype(int)
    assert np.abs(found - cv2.GaussianBlur(picture, (0, 0), sigma)).max() <= 1
    exact = cv2.GaussianBlur(picture.astype(np.float64), (taps, taps), sigma)
    assert np.abs(found - exact).max() < 0.5 + 1e-3


def test_flat_frames_are_unchanged() -> None:
    levels = torch.arange(256, dtype=torch.uint8)[:, None, None].expand(-1, 12, 12)
    valid = torch.full((256, 2), 12)
    assert torch.equal(GaussianBlur(1.1)(levels, valid), levels)
