"""Hashes of images."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from raw_layouts import picture
from scipy.fft import dctn

from benchmark.data.image_hashes import hamming_distance, perceptual_hash, pixel_sha256


def test_perceptual_hash_is_close_for_edits_and_far_for_others():
    pictures = [picture(seed, 200, 200) for seed in range(30)]
    hashes = [perceptual_hash(pixels) for pixels in pictures]
    assert all(len(value) == 16 for value in hashes)
    near, far = [], []
    for pixels, value in zip(pictures, hashes):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=50)
        edits = [
            np.asarray(Image.open(stream)),
            (pixels * 0.8 + 20).astype(np.uint8),
            np.asarray(Image.fromarray(pixels).resize((128, 128))),
        ]
        near += [hamming_distance(value, perceptual_hash(edit)) for edit in edits]
    for row, value in enumerate(hashes):
        far += [hamming_distance(value, other) for other in hashes[:row]]
    assert max(near) <= 6
    assert min(far) >= 10
    assert 28 < np.mean(far) < 36


def test_pixel_hash_tells_shapes_apart():
    pixels = np.arange(12, dtype=np.uint8)
    assert pixel_sha256(pixels.reshape(3, 4)) != pixel_sha256(pixels.reshape(4, 3))


def _by_definition(pixels: np.ndarray) -> str:
    """Pillow's picture at 32×32 and scipy's DCT, bit by bit."""
    small = Image.fromarray(pixels.astype(np.float32)).resize((32, 32), Image.Resampling.BICUBIC)
    low = dctn(np.asarray(small, np.float64), type=2)[1:9, 1:9]
    return f"{int(''.join('01'[int(value > np.median(low))] for value in low.flat), 2):016x}"


def test_the_hash_is_that_of_the_definition():
    rng = np.random.default_rng(0)
    for number in range(30):
        height, width = rng.integers(2, 200, 2) if number % 2 else (32 * (1 + number % 5),) * 2
        noise = rng.integers(0, 256, (height, width), dtype=np.uint8)
        pixels = (noise, picture(number, height, width), noise // 64 + 100)[number % 3]
        assert perceptual_hash(pixels) == _by_definition(pixels)
    wide = picture(1, 3, 5000)
    assert perceptual_hash(wide) == _by_definition(wide)
