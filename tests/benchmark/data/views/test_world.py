"""The views of CheXWorld against PIL, and their positions against a linear ramp."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter
from torch import Tensor
from view_tools import STILL, crop_by_pil, gray_levels

from benchmark.data.views.crop import Crop
from benchmark.data.views.world import (
    WorldViews,
    jitter_frames,
    relative_position,
)
from benchmark.errors import InputError
from benchmark.method import Progress

CHANGE = dict(brightness=0.4, contrast=0.4, gamma=2.0, jitter=0.8, blur=0.2, sigma=(0.1, 2.0))


def many(batch: dict[str, Tensor], sample: int, count: int) -> dict[str, Tensor]:
    """One frame of the batch `count` times, each with its own random numbers."""
    copies = {
        name: value[sample : sample + 1].expand(count, *value.shape[1:])
        for name, value in batch.items()
    }
    return {**copies, "index": torch.arange(count)}


def test_jitter_agrees_with_pil_on_the_valid_area(batch):
    """In both orders; padding is excluded from the mean used for contrast."""
    batch["frame"][1][:, 50:] = 250
    factors = torch.tensor([[1.3, 0.7], [0.65, 1.4], [1.35, 1.2]])
    for first in (False, True):
        order = torch.full((3,), first)
        found = jitter_frames(batch["frame"], batch["valid"], factors, order)
        assert found.dtype == torch.uint8
        for sample, (height, width) in enumerate(batch["valid"].tolist()):
            image = Image.fromarray(batch["frame"][sample, :height, :width].numpy())
            brightness, contrast = factors[sample].tolist()
            if first:
                image = ImageEnhance.Contrast(image).enhance(contrast)
            image = ImageEnhance.Brightness(image).enhance(brightness)
            if not first:
                image = ImageEnhance.Contrast(image).enhance(contrast)
            error = found[sample, :height, :width].numpy().astype(int) - np.asarray(image, int)
            assert np.abs(error).max() <= 3  # PIL truncates twice, this rounds
            assert np.abs(error).mean() < 1.5


def test_clean_views_are_equal_sized_crops_of_the_jittered_frame(batch):
    """Views share the frame's jitter, height and width, but neither place nor mirroring."""
    maker = WorldViews(size=32, jitter=dict(jitter=1.0), change=STILL)
    views = maker(batch)["views"]
    noise = maker.uniform("grey frame", batch["index"], 8)
    parameters, contrast_first, _ = maker.jitter.draw(noise)
    frames = jitter_frames(batch["frame"], batch["valid"], parameters[:, :2], contrast_first)
    assert not torch.equal(frames, batch["frame"])
    assert torch.equal(views["box_0"][:, 2:4], views["box_1"][:, 2:4])
    for number in range(2):
        found = gray_levels(views[f"image_{number}"])
        for sample, row in enumerate(views[f"box_{number}"].long().tolist()):
            assert row[0] + row[2] <= batch["valid"][sample, 0]
            assert row[1] + row[3] <= batch["valid"][sample, 1]
            assert (
                np.abs(found[sample] - crop_by_pil(frames[sample].numpy(), row, 32)).max() <= 2.01
            )
    still = WorldViews(size=32, jitter=STILL, change=STILL)(batch)["views"]
    assert torch.equal(still["box_1"], views["box_1"])
    assert not torch.equal(still["image_1"], views["image_1"])


def test_second_view_lies_anywhere_and_is_mirrored_independently(batch):
    """Positions are uniform over the free range, and the four flips equally likely."""
    views = WorldViews(size=8, jitter=STILL, change=STILL, scale=(0.3, 0.5))(many(batch, 1, 2000))
    views = views["views"]
    for number in range(2):
        boxes = views[f"box_{number}"]
        for axis, side in ((0, 64), (1, 50)):
            room = side - boxes[:, 2 + axis]
            # Midpoint of the interval of the uniform number.
            share = (boxes[:, axis] + 0.5) / (room + 1)
            deciles = torch.histc(share, 10, 0, 1)
            assert deciles.min() > 120
            assert deciles.max() < 300
            assert share.mean().item() == pytest.approx(0.5, abs=0.03)
    pairs = 2 * views["box_0"][:, 4] + views["box_1"][:, 4]
    assert torch.bincount(pairs.long()).min() > 430
    correlation = torch.corrcoef(torch.stack([views["box_0"][:, 0], views["box_1"][:, 0]]))
    assert correlation[0, 1] < 0.35  # from tall boxes, which have little room


def test_relative_positions_extrapolate_a_ramp():
    """On a linear ramp, intensity encodes position, which must agree with the yielded one."""
    row, column = np.meshgrid(np.arange(96), np.arange(96), indexing="ij")
    for ramp, axis in ((40 + row, 0), (40 + column, 1)):
        data = {
            "frame": torch.from_numpy(ramp.astype(np.uint8)).expand(40, -1, -1).contiguous(),
            "valid": torch.tensor([96, 80]).expand(40, -1),
            "index": torch.arange(40),
        }
        size = 24
        views = WorldViews(size=size, scale=(0.2, 0.5), jitter=STILL, change=STILL)(data)["views"]
        gray = [gray_levels(views[f"image_{number}"]) for number in range(2)]
        for name, (own, other) in (("place_01", (0, 1)), ("place_10", (1, 0))):
            for sample, (down, right, mirrored, across) in enumerate(views[name].tolist()):
                # A linear fit to the inside of one view, extrapolated.
                inside = np.arange(4, size - 4)
                lines = [gray[k][sample].mean(axis=1 - axis)[inside] for k in (own, other)]
                slope, start = np.polyfit(inside, lines[0], 1)
                if axis == 0:
                    seen = inside + size * down
                elif mirrored:
                    seen = size * across - 1 - inside
                else:
                    seen = inside + size * right
                assert np.abs(start + slope * seen - lines[1]).max() < 1.5


def test_relative_position_of_a_worked_example():
    """A frame of 50 pixels; the second box mirrored: its left edge is 50 − 30 − 10 = 10 there."""

    def crop(top: int, left: int, flip: bool) -> Crop:
        numbers = [torch.tensor([number]) for number in (top, left, 20, 10)]
        return Crop(*numbers, flip=torch.tensor([flip]))

    first, second, width = crop(4, 5, False), crop(14, 30, True), torch.tensor([50])
    assert relative_position(first, second, width).tolist() == [[0.5, 0.5, 1.0, 3.5]]
    assert relative_position(second, first, width).tolist() == [[-0.5, -0.5, 1.0, 3.5]]
    plain = crop(14, 30, False)
    assert relative_position(first, plain, width).tolist() == [[0.5, 2.5, 0.0, 1.5]]


def test_augmentations_follow_their_parameters(batch):
    """Brightness, then contrast, gamma and blur by PIL with the yielded parameters."""
    change = {**CHANGE, "jitter": 1.0, "blur": 1.0}
    views = WorldViews(size=32, jitter=STILL, change=change)(many(batch, 0, 20))["views"]
    for number in range(2):
        clean = gray_levels(views[f"image_{number}"])
        changed = gray_levels(views[f"changed_{number}"])
        for sample, numbers in enumerate(views[f"change_{number}"].tolist()):
            brightness, contrast, gamma, sigma, noise = numbers
            assert noise == 0
            image = Image.fromarray(clean[sample].round().astype(np.uint8))
            image = ImageEnhance.Brightness(image).enhance(brightness)
            image = ImageEnhance.Contrast(image).enhance(contrast)
            gray = 255 * (np.asarray(image, float) / 255) ** gamma
            image = Image.fromarray(gray.round().astype(np.uint8))
            image = image.filter(ImageFilter.GaussianBlur(sigma))
            error = np.abs(np.asarray(image, float) - changed[sample])
            assert error.mean() < 2.5
            assert np.abs(changed[sample] - clean[sample]).mean() > 0.05
    changes = torch.cat([views["change_0"], views["change_1"]])
    for column, (least, most) in enumerate([(0.6, 1.4), (0.6, 1.4), (0.5, 2.0), (0.1, 2.0)]):
        assert least < changes[:, column].min() < changes[:, column].max() < most
    assert changes[:, 2].log().mean().abs() < 0.25


def test_unchanged_copies_have_neutral_parameters(batch):
    """20 % of copies are not jittered, 80 % not blurred; where both apply, the copy is the view."""
    views = WorldViews(size=8, jitter=STILL, change=CHANGE)(many(batch, 0, 800))["views"]
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])
    jittered = (views["change_0"][:, :3] != 1).any(dim=1)
    blurred = views["change_0"][:, 3] != 0
    assert jittered.float().mean().item() == pytest.approx(0.8, abs=0.05)
    assert blurred.float().mean().item() == pytest.approx(0.2, abs=0.05)
    untouched = ~jittered & ~blurred
    assert untouched.sum() > 80
    assert (views["change_0"][untouched] == neutral).all()
    copies, originals = views["changed_0"][untouched], views["image_0"][untouched]
    torch.testing.assert_close(copies, originals, atol=1e-4, rtol=0)
    assert not torch.equal(views["change_0"], views["change_1"])


def test_views_depend_on_the_frame_and_the_epoch_only(batch):
    maker = WorldViews(size=16, change=CHANGE)
    full = maker(batch)["views"]
    last = maker({name: value[2:] for name, value in batch.items()})["views"]
    names = {f"{name}_{k}" for name in ("image", "changed", "change", "box") for k in (0, 1)}
    assert set(full) == names | {"place_01", "place_10", "index"}
    for name in full:
        torch.testing.assert_close(last[name][0], full[name][2])
    maker.progress = Progress(epoch=1, epochs=2)
    assert not torch.equal(maker(batch)["views"]["image_1"], full["image_1"])


def test_augmentations_without_parameters_are_refused():
    with pytest.raises(InputError, match=r"change.solarize must be 0"):
        WorldViews(change=dict(solarize=0.2))
    with pytest.raises(InputError, match="jitter supports brightness and contrast only"):
        WorldViews(jitter=dict(blur=0.5))
