"""Non-local means: its noise estimate, its settings, and what it does to frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from skimage.restoration import denoise_nl_means

from benchmark.data.denoising import Degradation
from benchmark.data.synthetic import angiogram
from benchmark.downstream.denoising.classical import NonLocalMeans, noise_level
from benchmark.downstream.denoising.metrics import psnr


def predict(model: NonLocalMeans, *frames: np.ndarray) -> list[np.ndarray]:
    inputs = [torch.from_numpy(frame)[None] for frame in frames]
    samples = model(inputs, [BaseDataElement() for _ in frames], mode="predict")
    assert all(sample.denoised.dtype == torch.uint8 for sample in samples)
    return [sample.denoised[0].numpy() for sample in samples]


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_the_noise_of_a_frame_is_estimated_from_it(sigma):
    """On a ramp, which the wavelet does not see, and on an angiogram, whose edges are few."""
    noise = np.random.default_rng(0).normal(0, sigma, (256, 256))
    rows, columns = np.indices(noise.shape) / 255
    assert noise_level(noise) == pytest.approx(sigma, rel=0.03)
    assert noise_level(0.7 * rows - 0.2 * columns + noise) == pytest.approx(
        noise_level(noise), rel=1e-9
    )
    clean = angiogram(0, 0, 0, 4, size=256, frames=8).image / 255
    own = noise_level(clean)  # a drawn angiogram has some noise of its own
    assert noise_level(clean + noise) == pytest.approx(math.hypot(own, sigma), rel=0.05)


def test_the_estimate_is_the_median_of_the_details_written_out():
    frame = np.random.default_rng(1).random((10, 12))
    root = math.sqrt(3)
    low = [(1 + root), (3 + root), (3 - root), (1 - root)]
    # The mirror filter of the scaling function: reversed, every other sign turned.
    high = [(-1) ** k * low[3 - k] / math.sqrt(32) for k in range(4)]
    assert sum(h * h for h in high) == pytest.approx(1)
    details = [
        abs(sum(high[a] * high[b] * frame[y + a, x + b] for a in range(4) for b in range(4)))
        for y in range(0, 7, 2)
        for x in range(0, 9, 2)
    ]
    assert noise_level(frame) == pytest.approx(np.median(details) / 0.6744897501960817, rel=1e-9)


def test_it_is_scikit_images_with_the_settings_of_the_config():
    frames = [
        Degradation().apply(angiogram(0, p, 0, 4, size=size, frames=8).image, 1, str(p))
        for p, size in ((0, 64), (1, 48))
    ]
    for fast, strength in ((True, 0.8), (False, 0.6)):
        model = NonLocalMeans(patch_size=5, patch_distance=4, strength=strength, fast=fast)
        for frame, found in zip(frames, predict(model, *frames), strict=True):
            sigma = noise_level(frame / 255)
            settings = dict(patch_size=5, patch_distance=4, fast_mode=fast)
            expected = denoise_nl_means(frame / 255, h=strength * sigma, sigma=sigma, **settings)
            np.testing.assert_array_equal(found, np.rint(255 * expected).clip(0, 255))


def test_it_removes_noise_and_keeps_a_frame_without():
    clean = angiogram(0, 2, 0, 4, size=128, frames=8).image
    for level in range(3):
        noisy = Degradation().apply(clean, level, "x")
        (denoised,) = predict(NonLocalMeans(), noisy)
        assert psnr(denoised, clean) > psnr(noisy, clean) + 4
    flat = np.full((16, 16), 77, np.uint8)
    np.testing.assert_array_equal(predict(NonLocalMeans(), flat)[0], flat)
