"""Frepa's corruptions against slow loops written from their descriptions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import ndtri

from benchmark.errors import InputError
from benchmark.nn.corruptions.frequency import CellNoise, EitherCorruption, SpectrumNoise

SIZE = 32


def frames(count: int, size: int = SIZE) -> torch.Tensor:
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(size) / 3)[:, None] * np.cos(np.arange(size) / 5)
    grey = 0.5 + 0.2 * waves + 0.1 * rng.uniform(-1, 1, (count, size, size))
    return torch.from_numpy(grey).float()


def numbers(count: int, width: int, seed: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.uniform(0.001, 0.999, (count, width))).float()


def slow_cells(x: np.ndarray, noise: np.ndarray, cells: int) -> np.ndarray:
    side = len(x) // cells
    ratio = 0.5 + 0.25 * noise[0]
    values = ndtri(noise[1 + cells**2 :]).reshape(x.shape)
    result = x.copy()
    for row in range(cells):
        for column in range(cells):
            cell = (
                slice(row * side, (row + 1) * side),
                slice(column * side, (column + 1) * side),
            )
            if noise[1 + row * cells + column] < ratio:
                result[cell] = np.mean(x[cell]) + np.std(x[cell]) * values[cell]
    return result


def slow_spectrum(x: np.ndarray, noise: np.ndarray, cells: int) -> np.ndarray:
    """The released procedure, with its 512 replaced by the size wherever it is one."""
    size, side = len(x), len(x) // cells
    ratio = 0.5 + 0.25 * noise[0]
    chances, rest = noise[1 : 1 + cells**2], noise[1 + cells**2 :]
    sigma = abs(5e-4 + 1e-4 * ndtri(rest[0])) * 512 / size
    d = 0.15 + 0.1 * rest[1]
    first, second = ndtri(rest[2:]).reshape(2, size, size)
    spectrum = np.fft.fftshift(np.fft.fft2(x))
    for row in range(cells):
        for column in range(cells):
            middle = (cells // 2 - 1, cells // 2)
            if row in middle and column in middle:
                continue
            cell = (
                slice(row * side, (row + 1) * side),
                slice(column * side, (column + 1) * side),
            )
            if chances[row * cells + column] < ratio:
                spectrum[cell] = np.mean(x[cell]) + np.std(x[cell]) * first[cell]
    place = np.arange(size) - size // 2
    square = place[:, None] ** 2 + place[None, :] ** 2
    weight = np.exp(-square / (2 * (d * size) ** 2))
    disturbance = sigma * np.max(np.abs(spectrum)) * second
    disturbance[size // 2, size // 2] = 0
    return np.fft.ifft2(np.fft.ifftshift(spectrum + weight * disturbance)).real


def test_cell_noise_matches_the_description() -> None:
    change = CellNoise(cells=8)
    grey, noise = frames(10), numbers(10, change.draws(SIZE))
    found = change(grey, noise)
    for x, u, y in zip(grey.double().numpy(), noise.double().numpy(), found.numpy()):
        np.testing.assert_allclose(y, slow_cells(x, u, 8), atol=1e-6)


@pytest.mark.parametrize("cells", [4, 8])
def test_spectrum_noise_matches_the_description(cells: int) -> None:
    change = SpectrumNoise(cells=cells)
    grey, noise = frames(10), numbers(10, change.draws(SIZE))
    found = change(grey, noise)
    for x, u, y in zip(grey.double().numpy(), noise.double().numpy(), found.numpy()):
        np.testing.assert_allclose(y, slow_spectrum(x, u, cells), atol=2e-6)


def test_spectrum_noise_keeps_its_precision_under_autocast() -> None:
    change = SpectrumNoise(cells=8)
    grey, noise = frames(2), numbers(2, change.draws(SIZE))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = change(grey, noise)
    assert found.dtype == torch.float32
    assert torch.equal(found, change(grey, noise))


def test_noise_per_pixel_is_independent_of_size() -> None:
    """Disturbance alone: σ·mean·512·d·√(π/2) at every size, by Parseval's theorem."""
    for size in (64, 128, 224):
        change = SpectrumNoise(ratio=(0.0, 0.0), cells=32, sigma=(5e-4, 0.0), width=(0.1, 0.1))
        grey = torch.full((1, size, size), 0.4)
        found = change(grey, numbers(1, change.draws(size)))
        expected = 5e-4 * 0.4 * 512 * 0.1 * np.sqrt(np.pi / 2)
        assert (found - grey).std().item() == pytest.approx(expected, rel=0.1)
        assert found.mean().item() == pytest.approx(0.4, rel=1e-5)  # the zero frequency is kept


def test_each_image_gets_one_of_two_corruptions() -> None:
    first, second = CellNoise(cells=8), SpectrumNoise(cells=8)
    both = EitherCorruption(first, second, probability=0.3)
    grey, noise = frames(200), numbers(200, both.draws(SIZE))
    found = both(grey, noise)
    in_image = first(grey, noise[:, 1 : 1 + first.draws(SIZE)])
    in_spectrum = second(grey, noise[:, 1 + first.draws(SIZE) :])
    chosen = noise[:, 0] < 0.3
    assert torch.equal(found[chosen], in_image[chosen])
    assert torch.equal(found[~chosen], in_spectrum[~chosen])
    assert 40 < chosen.sum() < 80


def test_invalid_settings_are_refused() -> None:
    with pytest.raises(InputError, match=r"ratio=\(0.8, 0.5\) must be a range"):
        CellNoise(ratio=(0.8, 0.5))
    five = CellNoise(cells=5)
    with pytest.raises(InputError, match="5 cells do not divide a view of 32²"):
        five(frames(1), numbers(1, five.draws(SIZE)))
    with pytest.raises(InputError, match="cells=7 must be even"):
        SpectrumNoise(cells=7)
    with pytest.raises(InputError, match=r"width=\(0, 0.2\) must be a range above 0"):
        SpectrumNoise(width=(0, 0.2))
