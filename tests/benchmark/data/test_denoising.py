"""The denoising set: whom it reserves, which frames it takes, and the statistics of its noise."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from benchmark.data.denoising import Degradation, contrast, reserved_split, select_contrast_filled
from benchmark.errors import InputError


def test_reserved_studies_have_the_fractions_of_the_paper():
    """49 and 200 of 1,574 studies; binomial counts within four standard deviations."""
    studies = 40_000
    found = [reserved_split(f"coronary_dominance/Study{number}") for number in range(studies)]
    for split, share in (("test", 49 / 1574), ("train", 200 / 1574)):
        spread = (studies * share * (1 - share)) ** 0.5
        assert abs(found.count(split) - studies * share) < 4 * spread
    # Written down, so that no later version changes the set without anyone noticing.
    first = [number for number in range(60) if found[number] == "test"]
    assert (first, found[:60].count("train")) == ([42], 4)


def test_contrast_is_the_darkening_against_the_brightest_frame():
    video = np.full((3, 4, 5), 200, np.uint8)
    video[1, 0] = 100
    video[2, :2] = 150
    assert contrast(video).tolist() == [0, 25, 25]
    video[0, 3] = 250
    assert contrast(video).tolist() == [0, 25 + 12.5, 25 + 12.5]


def test_frames_are_selected_by_contrast_and_distance():
    assert select_contrast_filled([1, 5, 9, 8, 7, 6, 2], 2) == [2, 5]
    assert select_contrast_filled([3, 3, 3, 3], 2) == [0, 3]
    assert select_contrast_filled([1, 2], 3) == [1]
    assert select_contrast_filled([], 3) == []


@pytest.mark.parametrize("level", [0, 1, 2])
def test_noise_has_the_variance_of_its_quanta(level):
    """Var = b/q + σ² in units of full white, plus 1/12 level² of rounding; the mean stays."""
    noise = Degradation(blur=0)
    clean = np.full((400, 400), 128, np.uint8)
    degraded = noise.apply(clean, level, "x").astype(float)
    b, q = 128 / 255, noise.photons[level]
    variance = (b / q + 0.02**2) * 255**2 + 1 / 12
    count = clean.size
    assert degraded.mean() == pytest.approx(128, abs=4 * (variance / count) ** 0.5)
    assert degraded.var() == pytest.approx(variance, rel=0.03)


def test_blur_is_gaussian_and_scales_with_the_frame():
    clean = np.zeros((256, 256), np.uint8)
    clean[100:150, 80:160] = 200
    noise = Degradation(photons=(1e9,), electronic=0, blur=4)
    expected = ndimage.gaussian_filter(clean.astype(float), 2, mode="reflect")
    assert np.abs(noise.apply(clean, 0, "x") - expected).max() < 1.5


def test_degraded_frames_are_the_same_on_every_processor():
    """A digest, held against the processors this test is run on."""
    clean = np.random.default_rng(0).integers(0, 256, (60, 80)).astype(np.uint8)
    degraded = np.stack([Degradation().apply(clean, level, "x") for level in range(3)])
    assert hashlib.sha256(degraded).hexdigest()[:16] == "1ed0276fa48f815b"


def test_noise_is_a_function_of_seed_level_and_name():
    clean = np.full((32, 32), 90, np.uint8)
    first = Degradation().apply(clean, 0, "x")
    np.testing.assert_array_equal(Degradation().apply(clean, 0, "x"), first)
    for other in (
        Degradation().apply(clean, 0, "y"),
        Degradation(seed=1).apply(clean, 0, "x"),
        Degradation(photons=(400, 400)).apply(clean, 1, "x"),
    ):
        assert (other != first).mean() > 0.5


@pytest.mark.parametrize("noise", [{"photons": ()}, {"photons": (100, 0)}, {"electronic": -1}])
def test_invalid_noise_is_refused(noise):
    with pytest.raises(InputError, match=next(iter(noise))):
        Degradation(**noise)
