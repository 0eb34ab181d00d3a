"""Corruptions of frames: harder with severity, reproducible, and each what its formula says."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio

from benchmark.data.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    Corruptions,
    contrast_dilution,
    electronic_noise,
    motion_blur,
    quantum_noise,
    resolution,
    window,
)
from benchmark.data.sources import open_source
from benchmark.downstream.transfer.identity import read_corruptions
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS

USUAL = read_corruptions(CONFIGS)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """Synthetic angiograms of three patients, 256²."""
    source = open_source("synthetic", patients=3, videos=1, frames=4, first_frame=3, size=256)
    return [source.read(frame) for frame in source.frames()]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_protocol_has_seven_kinds_in_five_severities():
    assert list(USUAL.levels) == list(CORRUPTIONS)
    assert len(CORRUPTIONS) == 7
    assert {len(levels) for levels in USUAL.levels.values()} == {SEVERITIES}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severities_are_monotone_in_psnr_on_every_frame(name, frames):
    for frame in frames:
        found = [USUAL.apply(frame, name, severity) for severity in range(1, SEVERITIES + 1)]
        assert all(one.dtype == np.uint8 and one.shape == frame.shape for one in found)
        psnr = [peak_signal_noise_ratio(frame, one) for one in found]
        assert all(a > b + 0.2 for a, b in pairwise(psnr)), psnr
        assert psnr[0] < 60


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_frame_has_the_same_noise_whatever_was_done_before(name, frames):
    first, second = frames[:2]
    before = USUAL.apply(first, name, 3)
    np.random.seed(1)  # noqa: NPY002  global state must not matter
    USUAL.apply(second, name, 5)
    # A view in another memory layout is the same frame.
    assert np.array_equal(USUAL.apply(np.asfortranarray(first), name, 3), before)
    if name.endswith("noise"):
        other = Corruptions(USUAL.levels, seed=1).apply(first, name, 3)
        assert not np.array_equal(other, before)
        # Not one field of noise for all frames.
        residues = [USUAL.apply(one, name, 1).astype(float) - one for one in (first, second)]
        assert abs(np.corrcoef(residues[0].ravel(), residues[1].ravel())[0, 1]) < 0.05


def test_quantum_noise_is_that_of_counted_photons(rng):
    """Mean x and variance x/q; pixels twice as wide collect four times as many."""
    for width in (512, 256):
        for level in (0.2, 0.8):
            noisy = quantum_noise(np.full((512, width), level, np.float32), 100, rng)
            assert noisy.mean() == pytest.approx(level, rel=0.01)
            expected = level / (100 * (512 / width) ** 2)
            assert noisy.var() == pytest.approx(expected, rel=0.05)


def test_electronic_noise_is_the_same_in_bright_and_dark(rng):
    for level in (0.2, 0.8):
        noisy = electronic_noise(np.full((300, 300), level, np.float32), 0.05, rng)
        assert (noisy.mean(), noisy.std()) == pytest.approx((level, 0.05), rel=0.02)


def test_motion_blur_spreads_a_point_along_a_line(rng):
    """Of the given length, everywhere equally, and the sum stays."""
    point = np.zeros((512, 512), np.float32)
    point[256, 256] = 1
    blurred = motion_blur(point, 20, rng)
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    rows, columns = np.nonzero(blurred > 1e-6)
    weights = blurred[rows, columns]
    centred = np.stack([rows, columns]) - 256.0
    spread, across = np.linalg.eigvalsh(np.cov(centred, aweights=weights, ddof=0))[::-1]
    # A uniform line of length L has the variance L²/12; bilinear spreading adds at most 1/4.
    assert 20**2 / 12 <= spread <= 20**2 / 12 + 0.3
    assert across < 0.3
    assert np.abs(np.average(centred, axis=1, weights=weights)).max() < 0.1


def test_diluted_contrast_leaves_the_share_of_the_logarithm(rng):
    """A wide dark line on a bright ground: log(x/B) is multiplied by the share, far from edges."""
    frame = np.full((512, 512), 0.8, np.float32)
    frame[:, 250:262] = 0.8 * np.exp(-0.6)
    diluted = contrast_dilution(frame, 0.25, rng)
    assert np.log(diluted[100:400, 255:257] / 0.8) == pytest.approx(-0.6 * 0.25, abs=0.01)
    assert diluted[:, :200] == pytest.approx(0.8)
    # What is wider than any vessel is no contrast medium.
    wide = np.full((512, 512), 0.8, np.float32)
    wide[:, 200:312] = 0.4
    assert np.abs(contrast_dilution(wide, 0.25, rng) - wide)[:, 225:287].max() < 1e-4


def test_the_window_is_the_formula(rng):
    frame = rng.random((50, 60), dtype=np.float32)
    found = window(frame, (0.5, 2.0), np.random.default_rng(3))
    narrowed = (np.median(frame) + (frame - np.median(frame)) / 0.5).clip(0, 1)
    darker = np.random.default_rng(3).random() < 0.5
    assert found == pytest.approx(narrowed ** (2.0 if darker else 0.5), abs=1e-6)


def test_jpeg_is_that_of_pillow(frames):
    stream = io.BytesIO()
    Image.fromarray(frames[0]).save(stream, "JPEG", quality=USUAL.levels["jpeg"][4])
    assert np.array_equal(USUAL.apply(frames[0], "jpeg", 5), np.asarray(Image.open(stream)))


def test_coarse_pixels_are_means_over_areas(rng):
    frame = rng.random((64, 96), dtype=np.float32)
    found = resolution(frame, 4, rng)
    means = frame.reshape(16, 4, 24, 4).mean(axis=(1, 3))
    # Bilinear: at every place between the means around it; compared with SciPy off the border.
    grid = np.meshgrid((np.arange(64) - 1.5) / 4, (np.arange(96) - 1.5) / 4, indexing="ij")
    expected = ndimage.map_coordinates(means, grid, order=1, mode="nearest")
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("levels", "seed", "message"),
    [
        ({"fog": (1, 2, 3, 4, 5)}, 0, "unknown corruption 'fog'"),
        ({"quantum_noise": (1e30,) * 5}, 0, "must be a number above 0 and at most 1e.09"),
        ({"jpeg": (40, 20)}, 0, "corruptions.jpeg: 2 levels; needs one for each of 5"),
        ({"jpeg": (40, 20, 10, 5, 0.5)}, 0, "corruptions.jpeg=.*: each must be an integer from 1"),
        ({"jpeg": (101, 20, 10, 5, 3)}, 0, "each must be an integer from 1 to 100"),
        ({"window": (1, 2, 3, 4, 5)}, 0, "corruptions.window="),
        ({}, 0, "corruptions: none"),
        ({"jpeg": (40, 20, 10, 5, 3)}, -1, "corruptions.seed=-1"),
    ],
)
def test_other_levels_are_refused(levels, seed, message):
    with pytest.raises(InputError, match=message):
        Corruptions(levels, seed)


def test_levels_identify_the_protocol():
    other = {**USUAL.levels, "jpeg": (40, 20, 12, 8, 4)}
    assert Corruptions(other).identity != USUAL.identity
    assert Corruptions({n: list(v) for n, v in USUAL.levels.items()}).identity == USUAL.identity
