"""Vessel masks against scikit-image, numpy and scipy's connected components."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import filters

from benchmark.anatomy.extraction import (
    grow_by_pointer_jumping,
    grow_region,
    percentile_threshold,
    vessel_mask,
)
from benchmark.anatomy.vesselness import vesselness
from benchmark.data.synthetic import angiogram
from benchmark.errors import InputError


def labelled(keep: np.ndarray, seed: int) -> np.ndarray:
    """The 4-connected component of `keep` at a flat index."""
    labels, _ = ndimage.label(keep)
    return (labels == labels.flat[seed]) & keep & keep.flat[seed]


def tree(size: int, seed: int) -> np.ndarray:
    return angiogram(0, seed, frame=6, size=size).image


def reference(value: np.ndarray, alpha: float = 92.0, border: int = 20) -> np.ndarray:
    """The steps of the paper (§1.1) that follow the vesselness, for one frame."""
    height, width = value.shape
    value = np.pad(value[border : height - border, border : width - border], border)
    keep = (value >= np.percentile(value, alpha)) & (value > 0)
    return labelled(keep, value.argmax())


def sato_reference(image: np.ndarray, **options: float) -> np.ndarray:
    value = filters.sato(image, sigmas=range(1, 5), black_ridges=True, mode="reflect")
    return reference(value.astype(np.uint8), **options)


def real_frames() -> list[np.ndarray]:
    """Up to 20 frames below the folder in ANGIO_REALDATA, unchanged."""
    folder = os.environ.get("ANGIO_REALDATA")
    paths = sorted(Path(folder).rglob("*.png")) if folder else []
    paths = [path for path in paths if not path.stem.endswith("_gt")]
    return [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths[:20]]


def test_masks_equal_scikit_image():
    agreement = []
    for image in [tree(256, seed) for seed in range(3)] + real_frames():
        ours = vessel_mask(torch.from_numpy(image)[None])[0].numpy()
        assert ours.any()
        agreement.append((ours == sato_reference(image)).mean())
    assert min(agreement) >= 0.995
    assert np.mean(agreement) >= 0.999


@pytest.mark.parametrize(("kind", "alpha"), [("frangi", 50.0), ("hessian", 92.0)])
def test_other_vesselness_kinds(kind, alpha):
    frames = torch.from_numpy(np.stack([tree(160, seed) for seed in range(3)]))
    values = vesselness(frames, kind).numpy()
    ours = vessel_mask(frames, kind, alpha=alpha, border=7).numpy()
    for value, mask in zip(values, ours):
        np.testing.assert_array_equal(mask, reference(value, alpha=alpha, border=7))


def test_border_is_empty_and_may_be_zero():
    frames = torch.from_numpy(tree(128, 0))[None]
    mask = vessel_mask(frames, border=33)[0]
    assert mask.any()
    assert mask.sum() == mask[33:-33, 33:-33].sum()
    np.testing.assert_array_equal(
        vessel_mask(frames, border=0)[0].numpy(), sato_reference(frames[0].numpy(), border=0)
    )
    assert not vessel_mask(frames, border=64).any()
    assert not vessel_mask(frames, border=500).any()


def test_frames_without_vessels_give_empty_masks():
    frames = torch.tensor([0, 128, 255], dtype=torch.uint8)[:, None, None].repeat(1, 80, 80)
    for kind in ("sato", "frangi", "hessian"):
        assert not vessel_mask(frames, kind).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("alpha", [0.0, 12.5, 50.0, 92.0, 99.9, 100.0])
def test_threshold_keeps_what_numpy_percentile_keeps(dtype, alpha):
    rng = np.random.default_rng(1)
    # 9×9 = 81 values: at 12.5 and 50 % the percentile is a value, elsewhere it is interpolated.
    for shape in ((9, 9), (31, 32)):
        values = (rng.integers(0, 40, (5, *shape)) ** 2 // 40).astype(dtype)
        if dtype is np.float32:
            values += rng.random(values.shape, dtype=np.float32)
        threshold = percentile_threshold(torch.from_numpy(values), alpha).numpy()
        for value, limit in zip(values, threshold):
            np.testing.assert_array_equal(value >= limit, value >= np.percentile(value, alpha))


@pytest.mark.parametrize("grow", [grow_region, grow_by_pointer_jumping])
@pytest.mark.parametrize("density", [0.0, 0.3, 0.59, 0.65, 1.0])
def test_growing_equals_scipy_label(grow, density):
    """0.59 is the percolation threshold, with the longest and most winding components."""
    rng = np.random.default_rng(round(density * 100))
    keep = rng.random((6, 90, 70)) < density
    seed = rng.integers(0, 90 * 70, 6)
    ours = grow(torch.from_numpy(keep), torch.from_numpy(seed)).numpy()
    for mask, one, position in zip(ours, keep, seed):
        np.testing.assert_array_equal(mask, labelled(one, position))


def spiral(size: int) -> np.ndarray:
    """A path one pixel wide that winds to the centre."""
    keep = np.zeros((size, size), dtype=bool)
    row, column, step = 0, 0, (0, 1)
    keep[0, 0] = True
    for length in [size - 1] + [n for k in range(size - 1, 1, -2) for n in (k, k)]:
        for _ in range(length):
            row, column = row + step[0], column + step[1]
            keep[row, column] = True
        step = (step[1], -step[0])
    return keep


@pytest.mark.parametrize("grow", [grow_region, grow_by_pointer_jumping])
def test_growing_follows_long_paths_and_no_diagonals(grow):
    path = spiral(41)
    zigzag = np.zeros_like(path)  # connected through its corners only
    zigzag[np.arange(41), np.arange(41)] = True
    staircase = zigzag | np.roll(zigzag, 1, axis=1)
    keep = np.stack([path, zigzag, staircase])
    # From the last pixel of the path in raster order, against increasing indices.
    seed = np.array([np.flatnonzero(one)[-1] for one in keep])
    ours = grow(torch.from_numpy(keep), torch.from_numpy(seed)).numpy()
    for mask, one, position in zip(ours, keep, seed):
        np.testing.assert_array_equal(mask, labelled(one, position))
    assert ours[0].sum() == path.sum() > 700
    assert ours[1].sum() == 1


def test_seed_is_the_first_of_equal_maxima():
    image = np.full((128, 128), 180, dtype=np.uint8)
    image[30:98, 40:43] = 90
    image[30:98, 85:88] = 90  # the same line: equal vesselness, later in raster order
    mask = vessel_mask(torch.from_numpy(image)[None])[0].numpy()
    assert mask[40:90, 41].all()
    assert not mask[:, 64:].any()
    np.testing.assert_array_equal(mask, sato_reference(image))


def test_valid_region_is_treated_as_the_full_frame():
    sizes = [(160, 160), (120, 160), (160, 101), (120, 160)]
    images = [tree(160, seed)[:h, :w] for seed, (h, w) in enumerate(sizes)]
    padded = torch.full((4, 160, 160), 255, dtype=torch.uint8)
    for canvas, image in zip(padded, images):
        canvas[: image.shape[0], : image.shape[1]] = torch.from_numpy(image)
    masks = vessel_mask(padded, valid=torch.tensor(sizes)).numpy()
    for mask, image, (height, width) in zip(masks, images, sizes):
        np.testing.assert_array_equal(mask[:height, :width], sato_reference(image))
        assert mask.sum() == mask[:height, :width].sum() > 0


def test_batch_equals_single_frames():
    frames = torch.from_numpy(np.stack([tree(128, seed) for seed in range(5)]))
    together = vessel_mask(frames)
    assert torch.equal(together, torch.cat([vessel_mask(frame) for frame in frames.split(1)]))
    assert vessel_mask(frames[:0]).shape == (0, 128, 128)


def test_wrong_input_is_named():
    frames = torch.zeros(2, 64, 64, dtype=torch.uint8)
    for options, message in (
        ({"alpha": 101}, "alpha 101"),
        ({"border": -1}, "border -1"),
        ({"valid": torch.tensor([[64, 64]])}, "expected 2×2"),
        ({"valid": torch.tensor([[64, 64], [65, 64]])}, "65×64"),
    ):
        with pytest.raises(InputError, match=message):
            vessel_mask(frames, **options)


@pytest.mark.gpu
def test_cuda_gives_the_same_masks():
    frames = torch.from_numpy(np.stack([tree(256, seed) for seed in range(6)]))
    assert torch.equal(vessel_mask(frames.cuda()).cpu(), vessel_mask(frames))
