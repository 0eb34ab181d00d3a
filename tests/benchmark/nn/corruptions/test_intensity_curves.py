"""Curves of grey values against numpy, and against slow versions of their descriptions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.errors import InputError
from benchmark.nn.corruptions.intensity_curves import BezierCurve, HistogramShift, interpolate

SIZE = 12


def frames(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(0, 1, (count, SIZE, SIZE))).float()


def numbers(count: int, width: int, seed: int = 1) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.uniform(0.001, 0.999, (count, width))).float()


def slow_bezier(x: np.ndarray, noise: np.ndarray, curve: BezierCurve) -> np.ndarray:
    """One frame: Bernstein polynomials at 100 000 places, sorted and interpolated by numpy."""
    changed, inverted, *points = noise
    if changed >= curve.probability:
        return x
    t = np.linspace(0, 1, 100_000)
    basis = [t**3, 3 * t**2 * (1 - t), 3 * t * (1 - t) ** 2, (1 - t) ** 3]
    xs = sum(p * b for p, b in zip([0, points[0], points[2], 1], basis))
    ys = sum(p * b for p, b in zip([0, points[1], points[3], 1], basis))
    xs = np.sort(xs)
    # Sorting both keeps them together; sorting one turns the curve over.
    return np.interp(x, xs, ys if inverted < curve.inversion else np.sort(ys))


def slow_shift(x: np.ndarray, noise: np.ndarray, shift: HistogramShift) -> np.ndarray:
    if noise[0] >= shift.probability:
        return x
    count = shift.fewest + int(noise[1] * (shift.most - shift.fewest + 1))
    old = np.linspace(0, 1, count)
    new = old.copy()
    for place in range(1, count - 1):
        new[place] = new[place - 1] + noise[1 + place] * (new[place + 1] - new[place - 1])
    low, high = x.min(), x.max()
    return np.interp(x, old * (high - low) + low, new * (high - low) + low)


def test_interpolation_matches_numpy() -> None:
    """Each sample has its own function, constant beyond its ends, with a jump at equal places."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0.2, 0.8, (3, 7)), axis=1)
    x[1, 3] = x[1, 4]
    y = rng.normal(size=(3, 7))
    values = rng.uniform(0, 1, (3, 5, 40))
    found = interpolate(*map(torch.from_numpy, (values, x, y)))
    for sample in range(3):
        expected = np.interp(values[sample], x[sample], y[sample])
        np.testing.assert_allclose(found[sample].numpy(), expected, atol=1e-12)


def test_bezier_curves_match_the_description() -> None:
    """Sixty frames, changed or not, inverted or not: a hundredth of a grey level of 255 at most."""
    curve = BezierCurve()
    grey, noise = frames(60), numbers(60, curve.draws(SIZE))
    found = curve(grey, noise)
    for x, u, y in zip(grey.double().numpy(), noise.double().numpy(), found.numpy()):
        np.testing.assert_allclose(y, slow_bezier(x, u, curve), atol=0.01 / 255)
    kept = (found == grey).all(dim=2).all(dim=1)
    assert torch.equal(kept, noise[:, 0] >= 0.9)


def test_steepest_bezier_curve_loses_little() -> None:
    """Control points in the corners make the slope infinite at both ends: half a grey level."""
    curve = BezierCurve()
    noise = torch.tensor([[0.1, 0.9, 1e-6, 1 - 1e-6, 1 - 1e-6, 1e-6]])
    grey = torch.linspace(0, 1, SIZE * SIZE).view(1, SIZE, SIZE)
    expected = slow_bezier(grey[0].double().numpy(), noise[0].double().numpy(), curve)
    np.testing.assert_allclose(curve(grey, noise)[0].numpy(), expected, atol=0.5 / 255)


@pytest.mark.parametrize("points", [(8, 12), (2, 2), (3, 5)])
def test_histogram_shift_matches_the_description(points: tuple[int, int]) -> None:
    shift = HistogramShift(0.8, points)
    grey = 0.2 + 0.5 * frames(40)
    noise = numbers(40, shift.draws(SIZE), seed=2)
    found = shift(grey, noise)
    for x, u, y in zip(grey.double().numpy(), noise.double().numpy(), found.numpy()):
        np.testing.assert_allclose(y, slow_shift(x, u, shift), atol=2e-6)


def test_histogram_shift_keeps_constant_images() -> None:
    shift = HistogramShift(probability=1.0)
    grey = torch.full((2, SIZE, SIZE), 0.3)
    torch.testing.assert_close(shift(grey, numbers(2, shift.draws(SIZE))), grey)


def test_invalid_settings_are_refused() -> None:
    with pytest.raises(InputError, match=r"points=\(5, 3\) must be a range"):
        HistogramShift(points=(5, 3))
