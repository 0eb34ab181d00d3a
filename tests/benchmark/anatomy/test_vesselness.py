"""Vesselness against scikit-image and against the formulas written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage import filters

from benchmark.anatomy.vesselness import (
    SIGMAS,
    VESSELNESS_KINDS,
    frangi,
    hessian,
    sato,
    sato_levels,
    vesselness,
)
from benchmark.errors import InputError


def vessels(height: int, width: int, seed: int) -> np.ndarray:
    """Dark curves of several widths on an uneven, noisy background: uint8 H×W."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width].astype(float)
    image = 150 + 40 * np.sin(columns / width * 3 + seed) + 20 * rows / height
    for radius in (1.0, 2.0, 3.5):
        offset, phase = rng.uniform(0.2, 0.8), rng.uniform(0, 6)
        course = height * (offset + 0.15 * np.sin(columns / width * 5 + phase))
        image -= 70 * np.exp(-(((rows - course) / radius) ** 2))
    image += rng.normal(0, 6, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def batch(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images))


# 40 is smaller than the kernels, 300 is no multiple of a block, 128 is one.
@pytest.mark.parametrize(("height", "width"), [(40, 56), (300, 257), (128, 128)])
def test_sato_equals_scikit_image(height, width):
    image = vessels(height, width, seed=height)
    expected = filters.sato(image, sigmas=range(1, 5), black_ridges=True, mode="reflect")
    assert expected.max() > 10  # gray levels: uint8 input is not scaled to 0..1
    np.testing.assert_allclose(sato(batch(image))[0], expected, rtol=0, atol=4e-5)
    np.testing.assert_array_equal(sato_levels(batch(image))[0], expected.astype(np.uint8))


@pytest.mark.parametrize("period", [2, 5, 6, 37])
def test_sato_levels_are_exact_on_hard_edges(period):
    """Full contrast maximises rounding errors, and periodicity repeats every near-tie."""
    rows, columns = np.mgrid[:256, :200]
    image = (((rows // period + columns // (period + 1)) % 2) * 255).astype(np.uint8)
    expected = filters.sato(image, sigmas=range(1, 5), black_ridges=True, mode="reflect")
    np.testing.assert_allclose(sato(batch(image))[0], expected, rtol=0, atol=8e-5)
    np.testing.assert_array_equal(sato_levels(batch(image))[0], expected.astype(np.uint8))


def test_sato_levels_recompute_what_fp32_cannot_decide(monkeypatch):
    """fp32 errors below the margin, whatever their sign, do not change the levels."""
    from benchmark.anatomy import vesselness as module

    image = vessels(128, 128, seed=3)
    expected = filters.sato(image, sigmas=range(1, 5), black_ridges=True, mode="reflect")
    for seed in range(3):
        noise = np.random.default_rng(seed).uniform(-9e-5, 9e-5, image.shape)
        disturbed = torch.from_numpy(np.maximum(expected + noise, 0)).float()[None]
        monkeypatch.setattr(module, "sato", lambda *_, value=disturbed: value.clone())
        np.testing.assert_array_equal(sato_levels(batch(image))[0], expected.astype(np.uint8))


def test_frangi_equals_scikit_image():
    images = vessels(200, 150, seed=1), vessels(200, 150, seed=2) // 2
    for image, value in zip(images, frangi(batch(*images))):
        expected = filters.frangi(image, sigmas=range(1, 5), black_ridges=True)
        assert expected.max() > 0.2
        np.testing.assert_allclose(value, expected, rtol=0, atol=2e-6)


def test_hessian_equals_the_formula():
    """AAAI eq. 1, eigenvalues from LAPACK, on the inverted frame."""
    image = vessels(90, 110, seed=5)
    inverted = 255.0 - image
    expected = np.zeros(image.shape)
    unclear = np.zeros(image.shape, dtype=bool)
    for sigma in SIGMAS:

        def derive(array: np.ndarray, order: tuple[int, int], s: float = sigma) -> np.ndarray:
            return gaussian_filter(array, s / np.sqrt(2), order=order, truncate=12)

        by_row, by_column = derive(inverted, (1, 0)), derive(inverted, (0, 1))
        h_rr, h_rc, h_cc = derive(by_row, (1, 0)), derive(by_row, (0, 1)), derive(by_column, (0, 1))
        matrices = np.stack([h_rr, h_rc, h_rc, h_cc], axis=-1).reshape(*image.shape, 2, 2)
        values = np.linalg.eigvalsh(matrices) * sigma**2
        order = np.abs(values).argsort(axis=-1)
        first, second = np.moveaxis(np.take_along_axis(values, order, axis=-1), -1, 0)
        expected = np.maximum(expected, np.where(second < 0, np.abs(first), 0))
        # The measure is discontinuous where λ1 = -λ2, and either side is right.
        unclear |= np.abs(first + second) < 1e-3
    assert unclear.mean() < 0.01
    ours = hessian(batch(image))[0].numpy()
    np.testing.assert_allclose(ours[~unclear], expected[~unclear], rtol=0, atol=4e-5)


@pytest.mark.parametrize("kind", VESSELNESS_KINDS)
def test_batched_products_agree(kind, monkeypatch):
    """The GPU path (large blocks, all frames at once), run on the CPU."""
    from benchmark.anatomy import vesselness as module

    frames = batch(*(vessels(130, 300, seed=seed) for seed in range(3)))
    expected = vesselness(frames, kind)
    assert torch.equal(torch.cat([vesselness(f, kind) for f in frames.split(1)]), expected)

    def full_batch(frames: torch.Tensor, result: torch.Tensor):
        yield module._centred(frames), result, torch.empty(3, *frames.shape)

    monkeypatch.setattr(module, "_BLOCK_CPU", module._BLOCK_GPU)
    monkeypatch.setattr(module, "_portions", full_batch)
    difference = (vesselness(frames, kind).double() - expected.double()).abs()
    # `hessian` is discontinuous at opposite eigenvalues; the others are continuous.
    assert (difference > 1e-4).double().mean() <= (1e-4 if kind == "hessian" else 0)


@pytest.mark.parametrize("kind", VESSELNESS_KINDS)
def test_constant_frames_have_no_vesselness(kind):
    flat = [np.full((70, 90), level, np.uint8) for level in (0, 77, 255)]
    value = vesselness(batch(*flat, vessels(70, 90, seed=0)), kind)
    assert value.flatten(1).any(dim=1).tolist() == [False] * 3 + [True]


def test_type_and_memory_layout_do_not_matter():
    frames = batch(vessels(64, 80, seed=4), vessels(64, 80, seed=5))
    expected = sato_levels(frames)
    assert torch.equal(sato_levels(frames.double()), expected)
    transposed = frames.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(sato_levels(transposed), expected)
    assert torch.equal(sato_levels(frames[:0]), expected[:0])


def test_reduced_precision_settings_have_no_effect():
    frames = batch(vessels(64, 64, seed=4))
    expected = sato(frames)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours = sato(frames)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(ours, expected)


def test_wrong_input_is_named():
    with pytest.raises(InputError, match="B×H×W"):
        sato(torch.zeros(5, 5))
    with pytest.raises(InputError, match="int64"):
        sato(torch.zeros(1, 5, 5, dtype=torch.int64))
    with pytest.raises(InputError, match="sato, frangi, hessian"):
        vesselness(torch.zeros(1, 5, 5), "gabor")


@pytest.mark.gpu
def test_cuda_gives_the_same_levels():
    frames = batch(*(vessels(300, 257, seed=seed) for seed in range(5)))
    assert torch.equal(sato_levels(frames.cuda()).cpu(), sato_levels(frames))
    torch.testing.assert_close(frangi(frames.cuda()).cpu(), frangi(frames), rtol=0, atol=4e-6)
