"""A mask is a function of seed, epoch, sample and view, for every strategy."""

from __future__ import annotations

import pytest
import torch

from benchmark.method import Progress
from benchmark.nn.masking.anatomy import AnatomyGuidedMasking
from benchmark.nn.masking.attention import AttentionGuidedMasking
from benchmark.nn.masking.blocks import BlockMasking, UnitMasking
from benchmark.nn.masking.ibot import BlockwiseRatioMasking
from benchmark.nn.masking.jepa import MergedBlockMasking, MultiblockMasking
from benchmark.nn.masking.loss import LossGuidedMasking
from benchmark.nn.masking.random import RandomMasking

WITH_VIEWS = (BlockwiseRatioMasking, MultiblockMasking, MergedBlockMasking)


@pytest.mark.parametrize(
    "kind",
    [
        *(RandomMasking, AnatomyGuidedMasking, AttentionGuidedMasking, LossGuidedMasking),
        *(UnitMasking, BlockMasking),
        *WITH_VIEWS,
    ],
)
def test_a_mask_belongs_to_its_sample(kind: type) -> None:
    """Alone, in a batch, or in another order: the same mask; another epoch, seed or view: another.

    144 patches of 16².
    """
    masking, generator = kind(144, 16), torch.Generator().manual_seed(0)
    views = {
        name: torch.rand(6, 1, 192, 192, generator=generator)
        for name in ("anatomy", "probability", "attention")
    }
    views |= {"index": torch.tensor([5, 9, 2, 170_000, 0, 33])}
    views["predicted_loss"] = torch.rand(6, 144, generator=generator)
    progress = Progress(seed=1, epoch=50, epochs=60)

    def masks(rows: list[int], progress: Progress = progress, **view: int) -> list[torch.Tensor]:
        found = masking({name: value[rows] for name, value in views.items()}, progress, **view)
        return [found] if isinstance(found, torch.Tensor) else list(found)

    whole = masks([0, 1, 2, 3, 4, 5])
    for rows in ([4], [5, 0, 3]):
        assert all(torch.equal(part, field[rows]) for part, field in zip(masks(rows), whole))
    others = [
        masks([0, 1, 2], Progress(seed=seed, epoch=e, epochs=60)) for seed, e in ((1, 51), (2, 50))
    ]
    if kind in WITH_VIEWS:
        others.append(masks([0, 1, 2], view=1))
    for other in others:
        assert not torch.equal(other[0], whole[0][:3])
