"""Frepa's losses against their formulas in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.nn.objectives.frequency import HighFrequencyLoss, gradient_difference


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    return tuple(torch.from_numpy(rng.uniform(0, 1, (2, 3, 20, 20))) for _ in range(2))


def highpass(image: np.ndarray, d0: float, official: bool) -> np.ndarray:
    """1 − exp(−r²/d0²) around the middle of the shifted spectrum, coefficient by coefficient."""
    size = len(image)
    grid = np.linspace(0, size, size) if official else np.arange(size)
    kept = np.empty((size, size))
    for row in range(size):
        for column in range(size):
            square = (grid[row] - size // 2) ** 2 + (grid[column] - size // 2) ** 2
            kept[row, column] = 1 - np.exp(-square / d0**2)
    spectrum = np.fft.fftshift(np.fft.fft2(image)) * kept
    return np.fft.ifft2(np.fft.ifftshift(spectrum)).real


@pytest.mark.parametrize("official", [False, True])
def test_high_frequency_loss_matches_the_formula(images, official: bool) -> None:
    prediction, target = images
    expected = 0.0
    for level in range(1, 6):
        d0 = 10 * level * 20 / 512
        errors = [
            np.abs(highpass(a, d0, official) - highpass(b, d0, official))
            for a, b in zip(prediction.flatten(0, 1).numpy(), target.flatten(0, 1).numpy())
        ]
        expected += np.mean(errors)
    found = HighFrequencyLoss(official_code=official)(prediction, target)
    assert found.item() == pytest.approx(expected, rel=1e-10)


def test_constant_offsets_cost_nothing(images) -> None:
    """Neither loss sees a constant; with the released filter, which is off its middle, one does."""
    image = images[0]
    assert gradient_difference(image + 0.3, image).item() == pytest.approx(0, abs=1e-12)
    assert HighFrequencyLoss()(image + 0.3, image).item() == pytest.approx(0, abs=1e-12)
    assert HighFrequencyLoss(official_code=True)(image + 0.3, image).item() > 1e-3


def test_filters_are_independent_of_size() -> None:
    losses = []
    for size in (64, 128):
        wave = torch.cos(2 * np.pi * torch.arange(size, dtype=torch.float64) / 8)
        image = wave.expand(1, 1, size, size)
        losses.append(HighFrequencyLoss()(image, torch.zeros_like(image)).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_precision_is_kept_under_autocast(images) -> None:
    prediction, target = (image.float() for image in images)
    loss = HighFrequencyLoss()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(prediction.bfloat16(), target)
    assert found.dtype == torch.float32
    assert torch.equal(found, loss(prediction.bfloat16().float(), target))
