"""Near-duplicates: which changes are tolerated, and that other patients do not match."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter, rotate

from benchmark.data.checks.near_duplicates import (
    FLIPS,
    SIMILAR,
    NearDuplicates,
    correlation,
    image_signature,
)
from benchmark.data.synthetic import angiogram

FLIPPED = {
    "none": lambda pixels: pixels,
    "horizontal": np.fliplr,
    "vertical": np.flipud,
    "both": lambda pixels: np.rot90(pixels, 2),
}


@pytest.fixture(scope="module")
def patients():
    """One frame of each of 20 patients, uint8, 96×96."""
    return [angiogram(11, patient, 0, 6, size=96).image for patient in range(20)]


def changed(pixels: np.ndarray, rng: np.random.Generator, flip: str) -> np.ndarray:
    """Gamma 0.6–1.6, contrast, brightness, flip, scale 0.5–2 and JPEG of quality 60 at once."""
    gray = 255 * (pixels / 255) ** rng.uniform(0.6, 1.6)
    gray = (gray - gray.mean()) * rng.uniform(0.7, 1.3) + gray.mean() + rng.uniform(-20, 20)
    side = round(len(pixels) * rng.uniform(0.5, 2))
    image = Image.fromarray(FLIPPED[flip](np.clip(gray, 0, 255)).astype(np.uint8))
    stream = io.BytesIO()
    image.resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=60)
    return np.asarray(Image.open(stream))


def test_signature_is_the_dct_of_the_locally_normalised_thumbnail(patients):
    """Against numpy and scipy in double precision."""
    pixels = patients[0]
    # Downscaling by an integer factor is averaging.
    pixels = np.repeat(np.repeat(pixels, 4, 0), 4, 1)
    small = pixels.reshape(64, 6, 64, 6).mean((1, 3))
    difference = small - gaussian_filter(small, 4, mode="reflect")
    power = gaussian_filter(difference**2, 4, mode="reflect")
    normal = np.clip(difference / np.sqrt(power + 0.01 * difference.var() + 1e-6), -3, 3)
    expected = dctn(normal, norm="ortho")[:24, :24]
    expected[0, 0] = 0
    np.testing.assert_allclose(image_signature(pixels), expected, atol=2e-3)
    assert np.abs(expected).max() > 2


def test_correlation_is_the_best_over_all_small_shifts(patients):
    """Against Pearson's coefficient of every pair of windows, from scipy's inverse transform."""
    first, second = (image_signature(pixels) for pixels in patients[2:4])

    def thumbnail(frequencies: np.ndarray) -> np.ndarray:
        padded = np.zeros((64, 64))
        padded[:24, :24] = frequencies
        return dctn(padded, type=3, norm="ortho")

    fixed, inner = thumbnail(first), thumbnail(second)[3:-3, 3:-3].ravel()
    windows = (
        fixed[row : row + 58, column : column + 58].ravel()
        for row in range(7)
        for column in range(7)
    )
    best = max(np.corrcoef(window, inner)[0, 1] for window in windows)
    assert correlation(first, second) == pytest.approx(best, abs=1e-4)


def test_changed_frames_are_found_with_their_flip(patients):
    rng = np.random.default_rng(4)
    flips = [FLIPS[number % 4] for number in range(len(patients))]
    queries = [changed(pixels, rng, flip) for pixels, flip in zip(patients, flips)]
    found = NearDuplicates(patients).find(queries)
    assert [(match.row, match.query, match.flip) for match in found] == [
        (number, number, flip) for number, flip in enumerate(flips)
    ]
    assert min(match.score for match in found) > 0.85
    assert all(match.score == round(match.score, 3) <= 1 for match in found)


def test_different_patients_do_not_match_in_any_flip(patients):
    found = NearDuplicates(patients).find(patients)
    assert [(match.row, match.query) for match in found] == [(n, n) for n in range(20)]
    known = [image_signature(pixels) for pixels in patients]
    scores = [correlation(a, b) for row, a in enumerate(known) for b in known[:row]]
    assert max(scores) < SIMILAR - 0.15


@pytest.mark.parametrize(
    "moved",
    [
        lambda pixels: np.roll(pixels, (2, -2), (0, 1)),
        lambda pixels: pixels[2:, 2:],
        lambda pixels: rotate(pixels, 2, reshape=False, order=1, mode="nearest"),
    ],
    ids=["shift", "crop", "rotation"],
)
def test_small_motion_is_found(patients, moved):
    found = NearDuplicates(patients).find([moved(pixels) for pixels in patients])
    assert [(match.row, match.query) for match in found] == [(n, n) for n in range(20)]


def test_result_does_not_depend_on_the_block(patients):
    known = NearDuplicates(patients[::2])
    at_once = known.find(patients[:9])
    parts = [
        match._replace(query=number)
        for number, pixels in enumerate(patients[:9])
        for match in known.find([pixels])
    ]
    assert at_once == parts
    assert [(match.row, match.query) for match in at_once] == [(n // 2, n) for n in range(0, 9, 2)]


def test_images_without_structure_match_nothing():
    flat = [
        np.full((80, 80), 90, np.uint8),
        np.zeros((1, 1), np.uint8),
        np.zeros((3, 200), np.uint8),
    ]
    assert NearDuplicates(flat).find(flat) == []
    assert NearDuplicates([]).find(flat) == []
    assert NearDuplicates(flat).find([]) == []
