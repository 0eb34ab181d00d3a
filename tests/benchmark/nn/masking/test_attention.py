"""Attention-guided masks: counts, order of the draw against numpy, law of the draw, schedule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.attention import AttentionGuidedMasking, TokenDroppingMask
from benchmark.nn.masking.random import Mask

LATER = Progress(seed=2, epoch=50, epochs=100)


@pytest.fixture
def attention() -> Tensor:
    """Three frames of 14×14 patches of one pixel; the last row of the first gets nothing."""
    attention = torch.rand(3, 1, 14, 14, generator=torch.Generator().manual_seed(0))
    attention[0, 0, 13] = 0
    return attention


def test_counts_of_the_paper(attention: Tensor) -> None:
    """88 masked, 78 thrown and 30 visible of 196; every field tells the same partition."""
    mask = AttentionGuidedMasking(196, 1)({"attention": attention, "index": torch.arange(3)}, LATER)
    assert isinstance(mask, TokenDroppingMask)
    for keep, restore, hidden, decode in zip(*(field.tolist() for field in mask)):
        assert sorted(restore) == list(range(196))
        masked = [patch for patch in range(196) if hidden[patch] == 1]
        assert (len(keep), len(masked), len(decode)) == (30, 88, 118)
        assert sorted(keep + masked) == sorted(decode)
        assert [restore[patch] for patch in decode] == list(range(118))
        assert set(hidden) == {0.0, 1.0}


def test_order_matches_an_exponential_race(attention: Tensor) -> None:
    noise = torch.rand(3, 196, generator=torch.Generator().manual_seed(1)).clamp_min(1e-3)
    mask = AttentionGuidedMasking(196, 1)({"attention": attention, "guide_noise": noise}, LATER)
    for sample in range(3):
        weights = attention[sample].double().numpy().ravel()
        with np.errstate(divide="ignore"):
            arrival = -np.log(noise[sample].double().numpy()) / weights
        order = np.argsort(arrival, kind="stable").tolist()
        assert set(np.flatnonzero(mask.mask[sample].numpy())) == set(order[:88])
        assert sorted(mask.ids_keep[sample].tolist()) == sorted(order[166:])
    # Patches without attention are drawn last: all 14 of them stay visible.
    assert set(range(182, 196)) <= set(mask.ids_keep[0].tolist())


def test_first_draws_are_proportional_to_the_attention() -> None:
    """One of four patches masked, one thrown: the chances of two successive weighted draws."""
    weights = np.array([0.1, 0.2, 0.3, 0.4])
    attention = torch.tensor(weights, dtype=torch.float32).reshape(1, 1, 2, 2)
    masking = AttentionGuidedMasking(4, 1, ratio=0.25, throw=0.25)
    samples = 40_000
    views = {"attention": attention.expand(samples, -1, -1, -1), "index": torch.arange(samples)}
    mask = masking(views, LATER)
    masked = mask.mask.mean(dim=0).numpy()
    np.testing.assert_allclose(masked, weights, rtol=0, atol=0.012)
    thrown = (
        1 - masked - torch.nn.functional.one_hot(mask.ids_keep, 4).sum(1).double().mean(0).numpy()
    )
    second = [
        sum(weights[i] * weights[j] / (1 - weights[i]) for i in range(4) if i != j)
        for j in range(4)
    ]
    np.testing.assert_allclose(thrown, second, rtol=0, atol=0.012)


def test_warm_up_masks_at_random(attention: Tensor) -> None:
    """Epochs 0 to 40: three quarters, whatever the attention; from 41 on the guided mask."""
    masking = AttentionGuidedMasking(196, 1)
    views = {"attention": attention, "index": torch.arange(3)}
    for epoch, kind in ((0, Mask), (40, Mask), (41, TokenDroppingMask)):
        mask = masking(views, Progress(epoch=epoch, epochs=100))
        assert isinstance(mask, kind)
    assert masking({"index": torch.arange(3)}, Progress()).mask.sum(dim=1).tolist() == [147] * 3


def test_maps_are_refreshed_after_epochs_40_80_120() -> None:
    """Before epochs 41, 81, … as in the official code; never before a run's first epochs."""
    masking = AttentionGuidedMasking(196, 1)
    assert [epoch for epoch in range(170) if masking.refresh_due(epoch)] == [41, 81, 121, 161]
    often = AttentionGuidedMasking(196, 1, warmup_epochs=3, interval=2)
    assert [epoch for epoch in range(12) if often.refresh_due(epoch)] == [5, 7, 9, 11]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(ratio=0.6, throw=0.4), "mask 117 and throw 79 of 196"),
        (dict(ratio=0.0), "mask 0 and throw 78 of 196"),
        (dict(warmup_ratio=1.0), "ratio=1.0 masks 196 of 196"),
    ],
)
def test_invalid_ratios_are_refused(arguments: dict, message: str) -> None:
    make: Callable = AttentionGuidedMasking
    with pytest.raises(InputError, match=message):
        make(196, 1, **arguments)
