"""Crops against torchvision's distribution and PIL's resizing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomResizedCrop

from benchmark.data.views.crop import (
    Crop,
    crop_bicubic,
    crop_lookup,
    crop_matrix,
    crop_nearest,
    draw_crops,
)
from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.data.views.single import SingleView
from benchmark.method import Progress
from benchmark.randomness import uniform

SCALE, RATIO = (0.2, 1.0), (3 / 4, 4 / 3)


def crops(count: int, valid: tuple[int, int], **changes: object) -> Crop:
    noise = uniform(0, 0, "crop", torch.arange(count), 41)
    arguments = {"scale": SCALE, "ratio": RATIO, "flip": 0.5, **changes}
    return draw_crops(noise, torch.tensor([valid]).expand(count, 2), **arguments)


@pytest.mark.parametrize(
    ("height", "width", "scale"),
    [(384, 512, SCALE), (512, 300, (0.6, 1.0)), (40, 30, (0.05, 0.4))],
)
def test_boxes_are_distributed_as_in_torchvision(height, width, scale):
    """Two-sample Kolmogorov-Smirnov on area, aspect and position of 3000 boxes each."""
    crop = crops(3000, (height, width), scale=scale)
    ours = torch.stack(crop[:4], dim=1).double().numpy()
    frame = torch.empty(1, height, width)
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    draws = [RandomResizedCrop.get_params(frame, list(scale), list(RATIO)) for _ in range(3000)]
    torch.random.set_rng_state(state)
    theirs = np.array(draws, dtype=np.float64)
    for name, measure in {
        "area": lambda box: box[:, 2] * box[:, 3],
        "aspect": lambda box: box[:, 3] / box[:, 2],
        "top": lambda box: box[:, 0],
        "left": lambda box: box[:, 1],
        "bottom": lambda box: height - box[:, 0] - box[:, 2],
        "right": lambda box: width - box[:, 1] - box[:, 3],
    }.items():
        assert stats.ks_2samp(measure(ours), measure(theirs)).pvalue > 0.01, name


@pytest.mark.parametrize(
    ("valid", "ratio"),
    [
        ((16, 128), RATIO),
        ((128, 16), RATIO),
        ((37, 100), RATIO),
        ((100, 37), (0.5, 0.9)),
        ((64, 64), (1.5, 2.0)),
    ],
)
def test_fallback_agrees_with_torchvision(valid, ratio):
    """If no sampled box fits the frame, both take the same largest centred box."""
    scale = [0.99, 1.0]
    expected = RandomResizedCrop.get_params(torch.empty(1, *valid), scale, list(ratio))
    crop = crops(50, valid, scale=tuple(scale), ratio=ratio)
    assert {tuple(box) for box in torch.stack(crop[:4], dim=1).tolist()} == {expected}


def test_the_ratio_is_width_over_height():
    crop = crops(200, (500, 500), scale=(0.1, 0.2), ratio=(1.9, 2.1))
    share = crop.width / crop.height
    assert share.min() > 1.8
    assert share.max() < 2.2


@pytest.mark.parametrize("extreme", [2.0**-24, 0.5, 1 - 2.0**-24])
def test_boxes_stay_inside(extreme):
    """Boxes lie in the valid area for any frame shape, also at the extremes of the noise."""
    rng = np.random.default_rng(0)
    valid = torch.from_numpy(rng.integers(1, 513, (4000, 2)))
    noise = uniform(0, 0, "crop", torch.arange(4000), 41)
    noise[2000:, 20:] = extreme
    noise[3000:] = extreme
    crop = draw_crops(noise, valid, SCALE, RATIO, 0.5)
    for start, length, side in zip(crop[:2], crop[2:4], valid.T):
        assert ((start >= 0) & (length > 0) & (start + length <= side)).all()


@pytest.mark.parametrize("flip", [0.0, 0.3, 1.0])
def test_fraction_of_mirrored_views(flip):
    """Mirrored with the given probability, and independently of the box."""
    crop = crops(4000, (512, 512), flip=flip)
    mirrored = crop.flip.sum().item()
    assert stats.binomtest(mirrored, 4000, flip).pvalue > 0.01
    if 0 < flip < 1:
        halves = [crop.width[crop.flip].numpy(), crop.width[~crop.flip].numpy()]
        assert stats.ks_2samp(*halves).pvalue > 0.01


def pil_view(pixels: np.ndarray, crop: Crop, sample: int, size: int, method: int) -> np.ndarray:
    """Crop, resize and mirror one frame with PIL.

    In two calls, because Pillow 13 resizes vertically first where that is cheaper, and the
    overshoot that is clipped in between depends on the order; torch always begins horizontally.
    """
    top, left, height, width = (int(value[sample]) for value in crop[:4])
    image = Image.fromarray(pixels).crop((left, top, left + width, top + height))
    image = image.resize((size, height), method).resize((size, size), method)
    if crop.flip[sample]:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(image)


@pytest.fixture(scope="module")
def frames():
    """24 frames of 128²: noise with hard edges and full contrast, where overshoot is largest."""
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (24, 128, 128))
    frames[:, 30:70, 50:90] = 255
    frames[:, 70:100, 20:110] = 0
    return torch.from_numpy(frames.astype(np.uint8))


@pytest.mark.parametrize("size", [32, 96, 224])
@pytest.mark.parametrize(("path", "most"), [(crop_matrix, 1), (crop_bicubic, 2)])
def test_bicubic_agrees_with_pil(frames, size, path, most):
    """Within one gray level of PIL, from 7× downsampling to 5× upsampling.

    torch's uint8 kernel on the CPU has weights of 16 bits and misses by 2 in a few pixels of 10⁵.
    """
    crop = crops(24, (128, 128), scale=(0.02, 1.0))
    views = path(frames, crop, size)
    assert views.dtype == torch.float32
    differences = []
    for sample in range(24):
        expected = pil_view(frames[sample].numpy(), crop, sample, size, Image.Resampling.BICUBIC)
        differences.append(np.abs(views[sample].numpy() - expected))
    assert np.max(differences) <= most
    assert np.mean(np.array(differences) > 1) < 1e-4
    assert np.mean(np.array(differences) > 0) < 0.02


def test_full_frame_at_native_size_is_unchanged(frames):
    """The identity crop is exact, and its mirror image too."""
    zeros, full = torch.zeros(24, dtype=torch.long), torch.full((24,), 128)
    flip = torch.arange(24) % 2 == 1
    crop = Crop(zeros, zeros, full, full, flip)
    expected = torch.where(flip[:, None, None], frames.flip(2), frames).float()
    assert torch.equal(crop_bicubic(frames, crop, 128), expected)
    assert torch.equal(crop_matrix(frames, crop, 128), expected)


def test_pixels_outside_the_box_have_no_weight(frames):
    """Cropping precedes resizing: nothing bleeds in from outside the box."""
    crop = crops(24, (128, 128), scale=(0.1, 0.3))
    changed = frames.clone()
    for sample in range(24):
        top, left, height, width = (int(value[sample]) for value in crop[:4])
        changed[sample] = 255 - changed[sample]
        box = (sample, slice(top, top + height), slice(left, left + width))
        changed[box] = frames[box]
    for path in (crop_bicubic, crop_matrix):
        assert torch.equal(path(changed, crop, 64), path(frames, crop, 64))


def assert_nearest(view: Tensor, pixels: np.ndarray, crop: Crop, sample: int) -> float:
    """The view equals PIL's, except where a centre lies exactly between two pixels.

    There, PIL depends on rounding errors. Returns the fraction of pixels compared.
    """
    size = len(view)
    expected = pil_view(pixels.astype(np.uint8), crop, sample, size, Image.Resampling.NEAREST)
    odd = 2 * np.arange(size) + 1
    rows, columns = (odd * int(length[sample]) % (2 * size) != 0 for length in crop[2:4])
    clear = rows[:, None] & columns
    np.testing.assert_array_equal(view.numpy()[clear], expected[clear])
    return clear.mean()


Nearest = Callable[[Tensor, Crop, int], Tensor]
both_paths = pytest.mark.parametrize("path", [crop_nearest, crop_lookup])


@both_paths
@pytest.mark.parametrize("size", [32, 50, 97, 224])
def test_nearest_agrees_with_pil(size, path):
    """Vessel masks are cropped, resized and mirrored like PIL's NEAREST, pixel for pixel."""
    masks = np.random.default_rng(2).random((200, 64, 128)) < 0.5
    crop = crops(200, (64, 128), scale=(0.02, 1.0))
    views = path(torch.from_numpy(np.packbits(masks, axis=-1)), crop, size)
    compared = [assert_nearest(views[row], masks[row], crop, row) for row in range(200)]
    assert np.mean(compared) > 0.7


@both_paths
@pytest.mark.parametrize(("length", "size"), [(448, 224), (896, 224), (960, 96), (64, 32)])
def test_nearest_rounds_centres_between_pixels_up(length, size, path):
    """A centre on the edge of two pixels takes the second, as in exact arithmetic."""
    columns = np.arange(length) % 7 < 3
    packed = torch.from_numpy(np.packbits(np.broadcast_to(columns, (1, length, length)), axis=-1))
    box = [torch.tensor([value]) for value in (0, 0, length, length)]
    view = path(packed, Crop(*box, flip=torch.tensor([False])), size)
    expected = [columns[(2 * place + 1) * length // (2 * size)] for place in range(size)]
    np.testing.assert_array_equal(view[0].numpy(), np.broadcast_to(expected, (size, size)))


@pytest.fixture
def batch(frames):
    """A batch of the loader, whose vessel masks are the dark pixels."""
    valid = torch.tensor([[128, 128], [90, 128], [128, 60], [100, 110]]).repeat(6, 1)
    anatomy = torch.from_numpy(np.packbits(frames.numpy() < 80, axis=-1))
    return {"frame": frames, "valid": valid, "anatomy": anatomy, "index": torch.arange(24) * 7}


def test_boxes_of_a_frame_are_cropped_together(batch):
    """Three boxes per frame at once: the views of one at a time, to a rounded level."""
    frames = batch["frame"][:5]
    boxes = crops(15, (64, 64))
    for function, step in ((crop_bicubic, 0), (crop_matrix, 1)):
        together = function(frames, boxes, 24)
        parts = zip(*(values.chunk(3) for values in boxes))
        single = torch.cat([function(frames, Crop(*part), 24) for part in parts])
        assert (together - single).abs().max() <= step
        assert (together == single).float().mean() > 0.999


def test_single_view_end_to_end(batch):
    """Frame and anatomy share box and flip; intensities are normalised per channel."""
    maker = SingleView(size=50)
    maker.progress = Progress(seed=3, epoch=2)
    views = maker(batch)["views"]
    assert sorted(views) == ["anatomy", "image", "index"]
    assert torch.equal(views["index"], batch["index"])
    noise = uniform(3, 2, "crop", batch["index"], 41)
    crop = draw_crops(noise, batch["valid"], SCALE, RATIO, 0.5)
    assert 0 < crop.flip.sum() < 24
    for sample in range(24):
        frame = batch["frame"][sample].numpy()
        gray = pil_view(frame, crop, sample, 50, Image.Resampling.BICUBIC) / 255
        for channel in range(3):
            expected = (gray - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel]
            step = 1 / 255 / IMAGENET_STD[channel]
            found = views["image"][sample, channel].numpy()
            np.testing.assert_allclose(found, expected, rtol=0, atol=step + 1e-5)
        assert_nearest(views["anatomy"][sample, 0], frame < 80, crop, sample)


def test_view_depends_on_its_sample_only(batch):
    """A sample has the same view in any batch; another epoch or seed changes it."""
    maker = SingleView(size=32)
    maker.progress = Progress(seed=1, epoch=5)
    full = maker(batch)["views"]
    order = torch.tensor([20, 3, 7])
    part = maker({key: value[order] for key, value in batch.items()}, training=False)["views"]
    for key in full:
        assert torch.equal(part[key], full[key][order])
    for other in (Progress(seed=1, epoch=6), Progress(seed=2, epoch=5)):
        maker.progress = other
        image = maker(batch)["views"]["image"]
        assert (image != full["image"]).flatten(1).any(dim=1).all()


def test_anatomy_is_optional(batch):
    """Packs without vessel masks give the same images and no anatomy."""
    with_anatomy = SingleView(size=32)(batch)["views"]
    del batch["anatomy"]
    views = SingleView(size=32)(batch)["views"]
    assert sorted(views) == ["image", "index"]
    assert torch.equal(views["image"], with_anatomy["image"])
