"""Several views of a frame: boxes, stacking and randomness that depends on the frame only."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from no_host_sync import on_simulated_gpu
from operator_calls import OperatorCalls
from view_tools import STILL, crop_by_pil, gray_levels

from benchmark.data.views.crop import CROP_DRAWS, crop_bicubic, draw_crops
from benchmark.data.views.intensity import DRAWS, Intensity
from benchmark.data.views.multi import MultiCrop, TwoViews
from benchmark.method import Progress
from benchmark.randomness import uniform


def test_each_view_is_its_box_resized_by_pil(batch):
    views = TwoViews(size=32, intensity=(STILL, STILL))(batch)["views"]
    for number in range(2):
        found = gray_levels(views[f"image_{number}"])
        for sample, row in enumerate(views[f"box_{number}"].long().tolist()):
            top, left, height, width, _ = row
            assert top + height <= batch["valid"][sample, 0]
            assert left + width <= batch["valid"][sample, 1]
            frame = batch["frame"][sample].numpy()
            assert np.abs(found[sample] - crop_by_pil(frame, row, 32)).max() <= 2.01
    assert not torch.equal(views["box_0"], views["box_1"])


def test_views_depend_on_the_frame_and_the_epoch_only(batch):
    maker = MultiCrop(
        local_count=2,
        local_size=16,
        size=32,
        intensity=(dict(blur=1.0), dict(blur=0.1, solarize=0.5)),
        local_intensity=dict(blur=0.5),
    )
    full = maker(batch)["views"]
    last = maker({name: value[2:] for name, value in batch.items()})["views"]
    for name in ("image_0", "image_1", "box_0", "box_1"):
        torch.testing.assert_close(last[name][0], full[name][2])
    # Crop-major: frame 2 of three is the third and sixth local crop.
    torch.testing.assert_close(last["local"], full["local"][[2, 5]])
    assert not torch.equal(full["local"][2], full["local"][5])
    maker.progress = Progress(epoch=1, epochs=2)
    assert not torch.equal(maker(batch)["views"]["image_0"], full["image_0"])


def test_views_are_those_of_a_plain_loop(batch):
    """Box, resizing and augmentation of every view by itself, from the numbers of its name."""
    recipes = dict(blur=1.0, gamma=2.0), dict(blur=0.1, solarize=0.5), dict(blur=0.5)
    maker = MultiCrop(3, 16, size=32, intensity=recipes[:2], local_intensity=recipes[2])
    maker.progress = Progress(seed=4, epoch=7, epochs=9)

    def view(name: str, size: int, scale: tuple[float, float], recipe: dict) -> torch.Tensor:
        noise = uniform(4, 7, f"crop {name}", batch["index"], CROP_DRAWS)
        crop = draw_crops(noise, batch["valid"], scale, (3 / 4, 4 / 3), 0.5)
        noise = uniform(4, 7, f"grey {name}", batch["index"], DRAWS)
        gray, _ = Intensity(**recipe)(crop_bicubic(batch["frame"], crop, size), noise)
        return maker.normalise(gray)

    found = maker(batch)["views"]
    for number in range(2):
        expected = view(str(number), 32, (0.2, 1.0), recipes[number])
        assert torch.equal(found[f"image_{number}"], expected)
    local = [view(f"local {number}", 16, (0.05, 0.4), recipes[2]) for number in range(3)]
    assert torch.equal(found["local"], torch.cat(local))


def test_local_crops_are_made_together_on_a_gpu(batch):
    """The views of one crop at a time, and as many operators for one crop as for eight."""
    counts = {}
    for local in (1, 8):
        maker = MultiCrop(local, 16, size=32, local_intensity=dict(blur=0.5))
        torch.testing.assert_close(
            maker._local(batch, [f"local {number}" for number in range(local)]),
            maker(batch)["views"]["local"],
        )
        with on_simulated_gpu(maker, batch) as on_gpu, OperatorCalls() as calls:
            maker(on_gpu)
        counts[local] = calls.counts.total()
    # A hash adds one number per crop; everything else is done once.
    assert counts[8] - counts[1] <= 2 * 7 + 10
    assert counts[8] < 650


def test_local_crops_cover_small_areas(batch):
    batch = {name: value[:1].repeat_interleave(200, 0) for name, value in batch.items()}
    batch["index"] = torch.arange(200)
    maker = MultiCrop(
        local_count=1, local_size=8, local_scale=(0.05, 0.3), size=16, scale=(0.3, 1.0)
    )
    views = maker(batch)["views"]
    area = views["box_0"][:, 2] * views["box_0"][:, 3] / 64**2
    assert area.min() > 0.27
    assert area.max() <= 1
    assert 0.4 < views["box_0"][:, 4].mean() < 0.6
    crop = maker._crop(batch, ["local 0"], maker.local_scale)
    small = (crop.height * crop.width) / 64**2
    assert 0.04 < small.min() < small.max() < 0.33
    assert views["local"].shape == (200, 3, 8, 8)
    assert "local" not in MultiCrop(local_count=0, size=16)(batch)["views"]


def test_views_are_augmented_independently(batch: dict[str, torch.Tensor]) -> None:
    """No two views of the same box are equal."""
    maker = MultiCrop(2, 32, (1, 1), size=32, scale=(1, 1), ratio=(1, 1), flip=0)
    views = maker(batch)["views"]
    assert torch.equal(views["box_0"], views["box_1"])
    images = (views["image_0"], views["image_1"], *views["local"].chunk(2))
    assert not any(torch.equal(one, other) for one, other in combinations(images, 2))
