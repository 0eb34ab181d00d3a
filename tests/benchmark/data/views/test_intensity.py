"""Intensity augmentations against PIL, torchvision and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest

from benchmark.data.views.intensity import (
    DRAWS,
    Intensity,
    apply_gamma,
    gaussian_blur,
    scale_brightness,
    scale_contrast,
    solarize,
)
from benchmark.errors import InputError
from benchmark.randomness import uniform


@pytest.fixture
def frames():
    rng = np.random.default_rng(4)
    ramp = np.linspace(0, 255, 40)[None, :, None] * np.ones((3, 1, 48))
    return (ramp + rng.normal(0, 20, ramp.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.4])
def test_brightness_and_contrast_agree_with_pil(frames, factor):
    """PIL truncates values and rounds the mean: differences up to 1 + 0.5·|1 − factor|."""
    given, factors = torch.from_numpy(frames).float(), torch.full((3,), factor)
    pairs = ((scale_brightness, ImageEnhance.Brightness), (scale_contrast, ImageEnhance.Contrast))
    for ours, theirs in pairs:
        found = ours(given, factors).numpy()
        for frame, result in zip(frames, found):
            expected = np.asarray(theirs(Image.fromarray(frame)).enhance(factor), float)
            assert np.abs(result - expected).max() <= 1.001 + 0.5 * abs(1 - factor)


def test_solarisation_agrees_with_pil_where_chosen(frames):
    given = torch.from_numpy(frames).float()
    found = solarize(given, torch.tensor([True, False, True])).numpy()
    for number in (0, 2):
        expected = np.asarray(ImageOps.solarize(Image.fromarray(frames[number]), 128))
        np.testing.assert_array_equal(found[number], expected)
    np.testing.assert_array_equal(found[1], frames[1])


def test_gamma_follows_the_formula(frames):
    gamma = torch.tensor([0.5, 1.0, 2.0])
    found = apply_gamma(torch.from_numpy(frames).float(), gamma).numpy()
    expected = 255 * (frames / 255.0) ** gamma.numpy()[:, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_blur_agrees_with_scipy_at_a_width_per_frame(frames):
    sigma = torch.tensor([0.0, 0.7, 2.0])
    found = gaussian_blur(torch.from_numpy(frames).float(), sigma, largest=2.0).numpy()
    np.testing.assert_allclose(found[0], frames[0], atol=1e-4)
    for number in (1, 2):
        width = float(sigma[number])
        expected = gaussian_filter(frames[number].astype(float), width, mode="nearest", radius=8)
        np.testing.assert_allclose(found[number], expected, atol=2e-3)


def test_draws_are_distributed_as_specified():
    """Uniform factors, log-uniform gamma, uniform σ, each with its given probability."""
    intensity = Intensity(0.4, 0.2, 2.0, jitter=0.8, blur=0.3, sigma=(0.1, 2.0), solarize=0.2)
    noise = uniform(0, 0, "test", torch.arange(40000), DRAWS)
    parameters, first, solarized = intensity.draw(noise)
    brightness, contrast, gamma, sigma = parameters.double().unbind(dim=1)
    changed = brightness != 1
    assert changed.float().mean().item() == pytest.approx(0.8, abs=0.01)
    assert (sigma > 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert solarized.float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert first.float().mean().item() == pytest.approx(0.5, abs=0.01)
    laws = [
        (brightness[changed], 0.6, 0.8),
        (contrast[changed], 0.8, 0.4),
        (gamma[changed].log2(), -1.0, 2.0),
        (sigma[sigma > 0], 0.1, 1.9),
    ]
    for values, start, length in laws:
        assert kstest(values.numpy(), "uniform", (start, length)).pvalue > 1e-3
    # One jitter decision for all three.
    assert torch.equal(changed, contrast != 1)
    assert torch.equal(changed, gamma != 1)


def test_order_of_brightness_and_contrast_is_random():
    """With factors 1.4 and 0.6 the two orders differ where values are clipped."""
    gray = torch.linspace(0, 255, 64).view(1, 8, 8).expand(2, -1, -1)
    noise = torch.full((2, DRAWS), 0.5)
    noise[:, 0], noise[:, 1], noise[:, 2] = 0.0, 1.0, 0.0
    noise[0, 4], noise[1, 4] = 0.1, 0.9
    found, _ = Intensity(0.4, 0.4, jitter=1.0)(gray, noise)
    factor = torch.tensor([1.4]), torch.tensor([0.6])
    bright_last = scale_brightness(scale_contrast(gray[:1], factor[1]), factor[0])
    bright_first = scale_contrast(scale_brightness(gray[:1], factor[0]), factor[1])
    torch.testing.assert_close(found[:1], bright_last)
    torch.testing.assert_close(found[1:], bright_first)
    assert (bright_first - bright_last).abs().max() > 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blur": 1.5}, "blur=1.5"),
        ({"contrast": -0.1}, "contrast=-0.1"),
        ({"gamma": 0.5}, "gamma=0.5"),
        ({"sigma": (2.0, 1.0)}, "sigma"),
    ],
)
def test_invalid_settings_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        Intensity(**arguments)
