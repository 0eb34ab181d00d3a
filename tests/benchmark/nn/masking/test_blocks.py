"""Block masks against mmpretrain's generator, and against BEiT's algorithm written out in loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.blocks import BlockMasking, UnitMasking

FIRST = Progress(seed=3)


def views(samples: int) -> dict[str, Tensor]:
    return {"index": torch.arange(samples)}


@pytest.mark.parametrize(
    ("size", "patch", "unit", "ratio", "masked"),
    [(224, 16, 32, 0.6, 30), (192, 4, 32, 0.6, 22), (96, 8, 32, 0.6, 6), (64, 8, 8, 0.5, 32)],
)
def test_units_match_simmim(size: int, patch: int, unit: int, ratio: float, masked: int) -> None:
    side, repeat = size // patch, unit // patch
    mask = UnitMasking(side**2, patch, ratio, unit)(views(50), FIRST)
    grid = mask.mask.unflatten(1, (side // repeat, repeat, side // repeat, repeat))
    units = grid.mean(dim=(2, 4))
    assert set(units.unique().tolist()) == {0, 1}
    assert units.sum(dim=(1, 2)).tolist() == [masked] * 50
    for sample in range(50):
        visible = torch.nonzero(mask.mask[sample] == 0)[:, 0]
        assert mask.ids_keep[sample].tolist() == visible.tolist()
        assert mask.ids_restore[sample, visible].tolist() == list(range(len(visible)))


def test_unit_counts_match_mmpretrain() -> None:
    from mmpretrain.datasets.transforms import SimMIMMaskGenerator

    for ratio in (0.1, 0.44, 0.5, 0.6, 0.75):
        theirs = SimMIMMaskGenerator(224, 32, 16, ratio).transform({})["mask"]
        ours = UnitMasking(196, 16, ratio, 32)(views(1), FIRST).mask[0]
        assert ours.sum().item() == theirs.sum()
        blocks = theirs.reshape(7, 2, 7, 2)
        assert (blocks == blocks[:, :1, :, :1]).all()


def test_every_unit_is_masked_equally_often() -> None:
    """χ² over 4000 masks; the units of the highest given noise are the masked ones."""
    masking = UnitMasking(64, 8, 0.5, 16)
    units = masking(views(4000), FIRST).mask.unflatten(1, (4, 2, 4, 2))[:, :, 0, :, 0]
    counts = units.sum(dim=0).flatten().numpy()
    # Counts of subsets drawn without replacement vary less than a multinomial's.
    statistic = ((counts - 2000) ** 2).sum() / (4000 * 0.25 * 16 / 15)
    assert stats.chi2.sf(statistic, 15) > 0.01
    noise = torch.rand(3, 16, generator=torch.Generator().manual_seed(0))
    given = masking({"mask_noise": noise}, FIRST).mask.unflatten(1, (4, 2, 4, 2))[:, :, 0, :, 0]
    for row, drawn in zip(noise, given.flatten(1)):
        assert set(torch.nonzero(drawn)[:, 0].tolist()) == set(row.argsort()[8:].tolist())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((196, 16, 0.6, 24), "unit=24 must be a multiple of patch_size=16"),
        ((196, 16, 0.6, 64), "divide the image of 224 pixels"),
        ((196, 16, 0.99, 32), "masks 49 of 49 units"),
        ((196, 16, 0.0, 32), "masks 0 of 49 units"),
        ((50, 16, 0.5, 32), "50 patches do not form a square grid"),
    ],
)
def test_invalid_units_are_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        UnitMasking(*arguments)


def beit_mask(
    shape: np.ndarray, fill: np.ndarray, side: int, masked: int, smallest: int, aspect: float
) -> np.ndarray:
    """Algorithm 1 of BEiT for one image from given random numbers, then filled up at random."""
    mask, left = np.zeros((side, side), dtype=int), masked
    for area_u, aspect_u, row_u, column_u in shape.reshape(-1, 4):
        area = smallest + area_u * (left - smallest)
        ratio = math.exp(math.log(aspect) + aspect_u * (math.log(1 / aspect) - math.log(aspect)))
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if height >= side or width >= side:
            continue
        top = math.floor(row_u * (side - height + 1))
        start = math.floor(column_u * (side - width + 1))
        block = mask[top : top + height, start : start + width]
        if 0 < block.size - block.sum() <= left:
            left -= block.size - block.sum()
            block[:] = 1
    order = [patch for patch in np.argsort(fill)[::-1] if not mask.flat[patch]]
    mask.flat[order[:left]] = 1
    return mask.ravel()


@pytest.mark.parametrize(
    ("side", "ratio", "smallest", "attempts"),
    [(14, 0.4, 16, 40), (14, 0.75, 4, 40), (12, 0.5, 16, 3), (6, 0.3, 16, 10)],
)
def test_rectangles_match_beit(side: int, ratio: float, smallest: int, attempts: int) -> None:
    rng, patches = np.random.default_rng(1), side * side
    shape, fill = rng.uniform(size=(60, 4 * attempts)), rng.uniform(size=(60, patches))
    given = {
        "block_noise": torch.from_numpy(shape),
        "mask_noise": torch.from_numpy(fill),
    }
    masking = BlockMasking(patches, 16, ratio, smallest=smallest, attempts=attempts)
    mask = masking(given, FIRST).mask.numpy()
    masked = math.floor(ratio * patches + 1e-6)
    for sample in range(60):
        expected = beit_mask(shape[sample], fill[sample], side, masked, smallest, 0.3)
        np.testing.assert_array_equal(mask[sample], expected)
    assert (mask.sum(axis=1) == masked).all()


def test_invalid_rectangles_are_refused() -> None:
    with pytest.raises(InputError, match=r"ratio=1\.0 masks 196 of 196"):
        BlockMasking(196, 16, ratio=1.0)
