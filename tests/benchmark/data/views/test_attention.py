"""Attention maps are cropped like their frames, and the table survives a checkpoint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmark.data.views.attention import AttentionView, crop_maps
from benchmark.data.views.crop import Crop, draw_crops
from benchmark.data.views.single import SingleView
from benchmark.method import Progress
from benchmark.randomness import uniform


@pytest.fixture
def maps():
    return torch.rand(24, 14, 14, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def valid():
    return torch.tensor([[448, 448], [224, 448], [448, 336], [420, 392]]).repeat(6, 1)


def crops(valid: Tensor) -> Crop:
    noise = uniform(0, 0, "crop", torch.arange(len(valid)), 41)
    return draw_crops(noise, valid, (0.2, 1.0), (3 / 4, 4 / 3), 0.5)


def resample(values: np.ndarray, start: float, length: float, out: int) -> np.ndarray:
    """One axis, in loops: bilinear over the cells that the box touches."""
    result = np.zeros((out, *values.shape[1:]))
    for i in range(out):
        centre = start + (i + 0.5) * length / out
        total = 0.0
        for cell in range(len(values)):
            if cell + 1 > start + 1e-6 and cell < start + length - 1e-6:
                weight = max(0.0, 1 - abs(cell + 0.5 - centre) / max(1.0, length / out))
                result[i] += weight * values[cell]
                total += weight
        result[i] /= total
    return result


def test_maps_are_cropped_like_their_frames(maps, valid):
    """Scaled to the cells of the map, mirrored with the frame, clipped to [0, 1]; against loops."""
    crop = crops(valid)
    views = crop_maps(maps, crop, valid, 28)
    for sample in (0, 1, 2, 3, 7, 14):
        top, left, height, width = (int(value[sample]) for value in crop[:4])
        frame_h, frame_w = valid[sample].tolist()
        pixels = maps[sample].double().numpy()
        pixels = resample(pixels, top * 14 / frame_h, height * 14 / frame_h, 28)
        pixels = resample(pixels.T, left * 14 / frame_w, width * 14 / frame_w, 28).T
        if crop.flip[sample]:
            pixels = pixels[:, ::-1]
        np.testing.assert_allclose(views[sample].numpy(), pixels.clip(0, 1), rtol=0, atol=2e-4)


def test_the_released_code_crops_the_corner(maps, valid):
    """Its first two rows and columns, or three where the box reaches the edge, as torch resizes."""
    crop = crops(valid)
    views = crop_maps(maps, crop, valid, 28, official_code=True)
    sizes = set()
    for sample in range(24):
        top, left, height, width = (int(value[sample]) for value in crop[:4])
        frame_h, frame_w = valid[sample].tolist()
        # i // H : (i + h) // H + 2, as released.
        corner = maps[sample][
            top // frame_h : (top + height) // frame_h + 2,
            left // frame_w : (left + width) // frame_w + 2,
        ]
        sizes.add(tuple(corner.shape))
        resized = F.interpolate(corner[None, None], (28, 28), mode="bilinear", align_corners=False)[
            0, 0
        ].clamp(0, 1)
        expected = resized.flip(1) if crop.flip[sample] else resized
        torch.testing.assert_close(views[sample], expected, rtol=0, atol=2e-5)
    assert len(sizes) > 1
    assert not torch.allclose(views, crop_maps(maps, crop, valid, 28), atol=0.1)


def test_views_are_single_views_with_a_map(batch):
    """Same image for the same keys; the map of the sample's index, cropped by the same box."""
    single, maker = SingleView(size=32), AttentionView(size=32)
    single.progress = maker.progress = Progress(seed=4, epoch=3)
    plain = maker(batch)["views"]
    assert "attention" not in plain  # there is no table yet
    batch["index"] = torch.tensor([5, 0, 3])
    maker.allocate(6, (4, 4))
    torch.testing.assert_close(maker(batch)["views"]["attention"], torch.ones(3, 1, 32, 32))

    maker.attention.copy_(torch.rand(6, 4, 4, generator=torch.Generator().manual_seed(3)))
    views = maker(batch)["views"]
    assert torch.equal(views["image"], single(batch)["views"]["image"])
    noise = uniform(4, 3, "crop", batch["index"], 41)
    crop = draw_crops(noise, batch["valid"], (0.2, 1.0), (3 / 4, 4 / 3), 0.5)
    expected = crop_maps(maker.attention[batch["index"]], crop, batch["valid"], 32)
    assert torch.equal(views["attention"][:, 0], expected)


def test_full_frames(batch):
    """The valid part of each frame, resized by PIL's bilinear filter, never mirrored."""
    noise = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(5))
    batch["frame"] = (256 * noise).byte()  # another kernel would be dozens of levels off
    maker = AttentionView(size=32, flip=1.0, mean=(0, 0, 0), std=(1, 1, 1))
    images = maker.full_frames(batch)
    for sample, (height, width) in enumerate(batch["valid"].tolist()):
        frame = Image.fromarray(batch["frame"][sample, :height, :width].numpy())
        expected = np.asarray(frame.resize((32, 32), Image.Resampling.BILINEAR), dtype=float)
        difference = np.abs(images[sample, 0].numpy() * 255 - expected)
        assert difference.max() <= 2  # two roundings


def test_state_dict_round_trip_of_the_table():
    """Into a maker of the same size, and into one without a number of frames."""
    maker = AttentionView(size=32)
    maker.allocate(6, (4, 4))
    maker.attention.uniform_()
    known, unknown = AttentionView(size=32), AttentionView(size=32)
    known.allocate(6, (4, 4))
    for other in (known, unknown):
        other.load_state_dict(maker.state_dict())
        assert torch.equal(other.attention, maker.attention)
    wrong = AttentionView(size=32)
    wrong.allocate(5, (4, 4))
    with pytest.raises(RuntimeError, match="attention"):
        wrong.load_state_dict(maker.state_dict())
