"""HPM's masks: how many hard patches, which, and how the others are drawn."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.loss import LossGuidedMasking
from benchmark.nn.masking.random import RandomMasking


def views(samples: int, patches: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    predicted = torch.randn(samples, patches, generator=generator)
    return {"index": torch.arange(samples), "predicted_loss": predicted}


@pytest.mark.parametrize(("patches", "ratio"), [(196, "0.75"), (144, "0.6"), (64, "0.29")])
@pytest.mark.parametrize(("start", "end"), [("0", "0.5"), ("0.25", "1"), ("0.5", "0")])
def test_hardest_patches_are_always_masked(patches: int, ratio: str, start: str, end: str) -> None:
    """⌊α_e · masked⌋ of highest prediction in epoch e, α_e = α_0 + (e + 1)/E · (α_E − α_0)."""
    masking = LossGuidedMasking(patches, 16, float(ratio), float(start), float(end))
    masked = patches - math.floor(patches * (1 - Fraction(ratio)))
    batch = views(6, patches)
    for epoch in range(7):
        share = Fraction(start) + Fraction(epoch + 1, 7) * (Fraction(end) - Fraction(start))
        progress = Progress(seed=1, epoch=epoch, epochs=7)
        assert masking.num_hard(progress) == math.floor(share * masked)
        mask = masking(batch, progress)
        assert mask.mask.sum(dim=1).tolist() == [masked] * 6
        for sample, prediction in enumerate(batch["predicted_loss"].numpy()):
            hardest = np.argsort(prediction)[::-1][: math.floor(share * masked)]
            assert mask.mask[sample, hardest.tolist()].all()


def test_paper_schedule() -> None:
    """147 of 196 patches: none chosen in the first epochs of 800, 73 in the last."""
    masking = LossGuidedMasking(196, 16)
    counts = [masking.num_hard(Progress(epoch=e, epochs=800)) for e in (0, 9, 10, 399, 798, 799)]
    assert counts == [0, 0, 1, 36, 73, 73]


def test_without_hard_patches_it_is_random_masking() -> None:
    masking = LossGuidedMasking(64, 4, ratio=0.7, hard_end=0.0)
    progress = Progress(seed=5, epoch=3, epochs=9)
    mask = masking(views(5, 64), progress)
    expected = RandomMasking(64, 4, ratio=0.7)(views(5, 64), progress)
    assert all(torch.equal(own, other) for own, other in zip(mask, expected))


def test_other_masked_patches_are_uniform() -> None:
    """Each patch that is not among the hardest is masked equally often, whatever its prediction.

    6 of 16 patches are hard, 6 more of the other 10 are masked: a share of 0.6 each, within five
    standard errors over 20,000 samples.
    """
    samples = 20_000
    batch = views(1, 16)
    batch = {
        "index": torch.arange(samples),
        "predicted_loss": batch["predicted_loss"].expand(samples, -1),
    }
    masking = LossGuidedMasking(16, 4, ratio=0.75, hard_start=0.5, hard_end=0.5)
    share = masking(batch, Progress()).mask.mean(dim=0)
    order = batch["predicted_loss"][0].argsort(descending=True)
    assert share[order[:6]].tolist() == [1.0] * 6
    error = 5 * math.sqrt(0.6 * 0.4 / samples)
    assert share[order[6:]].tolist() == pytest.approx([0.6] * 10, abs=error)


def test_ratio_that_leaves_nothing_to_see_is_refused() -> None:
    with pytest.raises(InputError, match=r"ratio=1\.0 masks 16 of 16 patches"):
        LossGuidedMasking(16, 4, ratio=1.0)
