"""Pairs of a corrupted and a clean view."""

from __future__ import annotations

import torch
from torch import Tensor
from view_tools import denormalise

from benchmark.data.views.corrupted import CorruptedView
from benchmark.data.views.single import SingleView
from benchmark.method import Progress
from benchmark.randomness import uniform


class Add:
    """Adds its first random number, and records all of them."""

    def draws(self, size: int) -> int:
        return 2

    def __call__(self, gray: Tensor, noise: Tensor) -> Tensor:
        self.noise = noise
        return gray + noise[:, :1, None]


class Halve:
    def draws(self, size: int) -> int:
        return 1

    def __call__(self, gray: Tensor, noise: Tensor) -> Tensor:
        return gray / 2


def test_without_corruptions_the_image_equals_the_plain_view(batch):
    """The same crop, the same intensities, before and after normalisation."""
    batch["anatomy"] = torch.zeros(3, 64, 8, dtype=torch.uint8)
    ours, plain = CorruptedView([], size=32), SingleView(32)
    ours.progress = plain.progress = Progress(seed=3, epoch=2)
    views, expected = ours(batch)["views"], plain(batch)["views"]
    torch.testing.assert_close(views["image"], expected["image"])
    clean = views["clean"].expand(-1, 3, -1, -1)
    torch.testing.assert_close(denormalise(expected["image"]), clean)
    assert set(views) == {"image", "clean", "index"}
    assert torch.equal(views["index"], batch["index"])


def test_changes_come_first_and_apply_to_both(batch):
    """(gray + a)/2 is clean, (gray + a)/2 + b the image; all channels are corrupted alike."""
    first, second = Add(), Add()
    maker = CorruptedView([second], changes=[first, Halve()], size=32)
    plain = CorruptedView([], size=32)
    maker.progress = plain.progress = Progress(seed=3, epoch=2)
    gray = plain(batch)["views"]["clean"]
    views = maker(batch)["views"]
    clean = (gray + first.noise[:, :1, None, None]) / 2
    torch.testing.assert_close(views["clean"], clean)
    restored = denormalise(views["image"])
    expected = (clean + second.noise[:, :1, None, None]).expand(-1, 3, -1, -1)
    torch.testing.assert_close(restored, expected)


def test_random_numbers_are_keyed_by_frame_epoch_and_step(batch):
    """Hence they do not depend on the batch a frame is in."""
    steps = [Add(), Add(), Add()]
    maker = CorruptedView(steps[1:], changes=steps[:1], size=32)
    maker.progress = Progress(seed=3, epoch=2)
    maker(batch)
    drawn = [step.noise for step in steps]
    for noise, stream in zip(drawn, ("change 0", "corruption 0", "corruption 1")):
        assert torch.equal(noise, uniform(3, 2, stream, batch["index"], 2))
    maker({key: value[2:] for key, value in batch.items()})
    assert all(torch.equal(step.noise, noise[2:]) for step, noise in zip(steps, drawn))
    maker.progress = Progress(seed=3, epoch=3)
    maker(batch)
    assert all(not torch.equal(step.noise, noise) for step, noise in zip(steps, drawn))
