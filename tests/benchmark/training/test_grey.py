"""Which transformers of a method read one channel."""

from __future__ import annotations

import pytest
from torch import nn

from benchmark.data.views.single import SingleView
from benchmark.method import Method
from benchmark.nn.ema import ExponentialMovingAverage, LinearMomentum
from benchmark.nn.vit import VisionTransformer
from benchmark.training.grey import assume_grayscale


def small_vit(**options: int) -> VisionTransformer:
    return VisionTransformer(32, 8, embed_dim=16, depth=1, num_heads=2, **options)


class Parts(Method):
    """An encoder, its teacher, and a network that judges reconstructions."""

    grey_input = True

    def __init__(self, views: nn.Module) -> None:
        super().__init__(views)
        self.encoder = small_vit()
        self.teacher = ExponentialMovingAverage(self.encoder, LinearMomentum())
        self.infrared = small_vit(in_channels=4)
        self.objective = nn.Sequential(small_vit())


def reads_one(vit: VisionTransformer) -> bool:
    return vit.channel_factor is not None


def test_encoder_and_teacher_but_no_objective() -> None:
    views = SingleView(size=32, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    method = Parts(views)
    assume_grayscale(method)
    assert reads_one(method.encoder)
    assert reads_one(method.teacher.module)
    assert not reads_one(method.objective[0])
    assert not reads_one(method.infrared)
    # grey = 0.5 + 0.5 x, so that the second is (0.25 + 0.5 x) / 0.25 and the third 0.5 + 0.5 x.
    assert method.encoder.channel_factor.tolist() == pytest.approx([1, 2, 0.5])
    assert method.encoder.channel_offset.tolist() == pytest.approx([0, 1, 0.5])
    assume_grayscale(method, False)
    assert not reads_one(method.encoder)
    assert not reads_one(method.teacher.module)


def test_only_where_a_method_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Parts, "grey_input", False)
    method = Parts(SingleView(size=32))
    assume_grayscale(method)
    assert not reads_one(method.encoder)
    assert not Method.grey_input


def test_a_subclass_has_to_say_so_itself() -> None:
    """It may add noise of its own to each channel, and nobody would notice."""

    class Noisy(Parts):
        pass

    assert not Noisy(SingleView(size=32)).grey_input
    assert Parts.grey_input
