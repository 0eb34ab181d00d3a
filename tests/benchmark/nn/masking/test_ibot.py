"""Masks of iBOT against its loop, image by image with Python's own random numbers."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from operator_calls import OperatorCalls

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.ibot import BlockwiseRatioMasking


def loop(side: int, share: float, numbers: np.ndarray, patience: int = 10) -> np.ndarray:
    """Rectangles until `share` of the patches are masked or `patience` on end found no room.

    Args:
        numbers: attempts×4: area, aspect, row and column of each rectangle, in (0, 1).
    """
    mask = np.zeros((side, side), dtype=bool)
    high, low, draws = share * side * side, (side // 3) ** 2, iter(numbers)
    count = 0
    while count < high:
        room, delta = high - count, 0
        for _ in range(patience):
            area_u, aspect_u, row_u, column_u = next(draws)
            area = low + area_u * (room - low)
            aspect = math.exp(math.log(0.3) + aspect_u * (math.log(1 / 0.3) - math.log(0.3)))
            height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if height < side and width < side:
                top = int(row_u * (side - height + 1))
                left = int(column_u * (side - width + 1))
                box = mask[top : top + height, left : left + width]
                new = height * width - int(box.sum())
                if 0 < new <= room:
                    box[:] = True
                    delta = new
                    break
        if delta == 0:
            break
        count += delta
    return mask.ravel()


@pytest.mark.parametrize("side", [6, 12, 14])
def test_masks_match_the_official_loop(side: int) -> None:
    masking = BlockwiseRatioMasking(side * side, 16)
    generator = torch.Generator().manual_seed(side)
    coin = torch.rand(40, 2, generator=generator)
    noise = torch.rand(40, 4 * masking.attempts, generator=generator)
    views = {"ratio_noise_1": coin, "block_noise_1": noise}
    found = masking(views, Progress(), view=1).bool().numpy()
    shares = [0.0 if number < 0.5 else 0.1 + 0.4 * place for number, place in coin.tolist()]
    for sample, share in enumerate(shares):
        expected = loop(side, share, noise[sample].double().view(-1, 4).numpy())
        assert np.array_equal(found[sample], expected), sample


def test_the_masks_of_two_views_need_few_operators() -> None:
    """All rectangles are drawn at once: about ten calls are left for each of 60 rectangles."""
    masking, views = BlockwiseRatioMasking(196, 16), {"index": torch.arange(64)}
    with OperatorCalls() as calls:
        both = masking(views, Progress(seed=1), (0, 1))
    assert calls.counts.total() < 900
    for view, found in enumerate(both.chunk(2)):
        assert torch.equal(found, masking(views, Progress(seed=1), view))


def test_no_rectangle_exceeds_the_most() -> None:
    """Where single precision rounds a ratio up to the next patch, 28.9999985 of 100 to 29."""
    masking = BlockwiseRatioMasking(100, 16, (0.289999985,), (0.0,), smallest=1)
    ratio = torch.tensor([[0.5, 0.5]]).expand(500, 2)
    count = masking({"index": torch.arange(500), "ratio_noise_0": ratio}, Progress()).sum(dim=1)
    assert masking.most == 28 == count.max()


def test_attempts_are_enough() -> None:
    rng = np.random.default_rng(0)
    attempts = BlockwiseRatioMasking(196, 16).attempts
    longer = 0
    for _ in range(300):
        numbers = rng.random((1000, 4))
        share = 0.1 + 0.4 * rng.random()
        within = np.concatenate([numbers[:attempts], np.zeros((1000, 4))])
        longer += not np.array_equal(loop(14, share, numbers), loop(14, share, within))
    assert longer <= 3


def test_ratios_are_distributed_as_specified() -> None:
    """Half of the images have no mask; the others 10–50 % at most, and not much less."""
    masking = BlockwiseRatioMasking(196, 16)
    index = torch.arange(4000)
    counts = masking({"index": index}, Progress(seed=3)).sum(dim=1)
    masked = counts[counts > 0]
    assert len(masked) / len(counts) == pytest.approx(0.5, abs=0.03)
    assert counts.max() <= masking.most == 98
    rng, python = np.random.default_rng(1), random.Random(0)
    expected = [loop(14, python.uniform(0.1, 0.5), rng.random((400, 4))).sum() for _ in range(400)]
    assert masked.mean().item() == pytest.approx(np.mean(expected), rel=0.05)
    shares = masking.draw_ratio(torch.tensor([[0.49, 0.9], [0.51, 0.0], [0.99, 1.0]]))
    assert shares[:, 0].tolist() == pytest.approx([0, 0.1, 0.5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratios": (0.0,), "spread": (0.0, 0.2)}, "must be of the same length"),
        ({"ratios": (), "spread": ()}, "one or more"),
        ({"ratios": (0.1,), "spread": (0.2,)}, r"ranges within \[0, 1\)"),
        ({"ratios": (0.9,), "spread": (0.1,)}, r"ranges within \[0, 1\)"),
        ({"ratios": (0.0,), "spread": (0.0,)}, "masks 0 of 144 patches"),
    ],
)
def test_invalid_corruptions_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BlockwiseRatioMasking(144, 8, **arguments)
