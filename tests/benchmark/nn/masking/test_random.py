"""Masks: counts, consistency, statelessness, schedule and guidance of VasoMIM.

What patches are drawn how often is in test_masking_law.py.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.anatomy import AnatomyGuidedMasking, patch_weights, vessel_share
from benchmark.nn.masking.random import Mask, RandomMasking, mask_highest, visible_patches

FIRST = Progress(seed=3)


def assert_partition(mask: Mask, masked: int) -> None:
    """The three fields of a mask agree, and every sample hides `masked` patches."""
    for keep, restore, hidden in zip(*(field.tolist() for field in mask)):
        assert sorted(restore) == list(range(len(restore)))
        assert sum(hidden) == masked
        assert set(hidden) <= {0.0, 1.0}
        assert sorted(keep) == [patch for patch, value in enumerate(hidden) if value == 0]
        assert [restore[patch] for patch in keep] == list(range(len(keep)))


@pytest.mark.parametrize("patches", [10, 16, 49, 144, 196, 1024])
@pytest.mark.parametrize("ratio", ["0.25", "0.29", "0.5", "0.6", "0.7", "0.75", "0.9"])
def test_counts(patches: int, ratio: str) -> None:
    """MAE keeps ⌊(1 − γ)N⌋, VasoMIM masks ⌊γN⌋, in exact arithmetic."""
    exact, views = Fraction(ratio), {"index": torch.arange(3)}
    mask = RandomMasking(patches, 4, ratio=float(ratio))(views, FIRST)
    assert_partition(mask, patches - math.floor(patches * (1 - exact)))
    guided = AnatomyGuidedMasking(patches, 4, ratio=float(ratio), eta=1)
    views["anatomy"] = torch.ones(3, 1, 4, 4 * patches)
    masked = math.floor(patches * exact)
    assert_partition(guided(views, FIRST), masked)
    assert visible_patches(patches, float(ratio)) == patches - masked


@pytest.mark.parametrize(
    ("ratio", "paper", "code"),
    [
        (0.25, 49, 49),
        (0.4, 78, 79),
        (0.5, 98, 98),
        (0.6, 117, 118),
        (0.75, 147, 147),
        (0.9, 176, 177),
    ],
)
def test_counts_of_the_papers_sweep(ratio: float, paper: int, code: int) -> None:
    """Figure 10 on 14×14 patches: ⌊γN⌋ by default, as the released code counts on request.

    There ⌊β_e times the number of masked patches⌋ are guided.
    """
    views = {"index": torch.arange(2), "anatomy": torch.ones(2, 1, 56, 56)}
    progress = Progress(seed=3, epoch=11, epochs=17)
    for official, masked in ((False, paper), (True, code)):
        masking = AnatomyGuidedMasking(196, 4, ratio=ratio, eta=1, official_code=official)
        assert_partition(masking(views, progress), masked)
    assert masking.guided(progress) == math.floor(code * Fraction(12, 17) / 2)


@pytest.mark.parametrize(
    ("kind", "ratio"),
    [(kind, ratio) for kind in (RandomMasking, AnatomyGuidedMasking) for ratio in (0.0, 1.0, -0.5)]
    # The two round in opposite directions: 0.95 of 4 leaves MAE no visible patch, 0.1 of 4 leaves
    # VasoMIM no masked one.
    + [(RandomMasking, 0.95), (AnatomyGuidedMasking, 0.1)],
)
def test_invalid_ratios_are_refused(kind: type, ratio: float) -> None:
    with pytest.raises(InputError, match=f"ratio={ratio} masks .* of 4 patches"):
        kind(4, 4, ratio=ratio)


def test_noise_is_sorted_as_in_the_mae_code(tiny_views: dict[str, Tensor]) -> None:
    mask = RandomMasking(16, 8)(tiny_views, FIRST)
    shuffle = np.argsort(tiny_views["mask_noise"].numpy(), axis=1)
    np.testing.assert_array_equal(mask.ids_keep.numpy(), shuffle[:, :4])
    np.testing.assert_array_equal(mask.ids_restore.numpy(), np.argsort(shuffle, axis=1))
    assert_partition(mask, 12)
    tied = mask_highest(torch.tensor([[2.0, 1.0, 2.0, 1.0, 1.0]]), keep=4)
    assert tied.ids_keep.tolist() == [[1, 3, 4, 0]]
    assert tied.mask.tolist() == [[0, 0, 1, 0, 0]]


SCHEDULES = [("0", "0.5"), ("0.5", "0"), ("0", "1"), ("1", "1"), ("0", "0")]


@pytest.mark.parametrize(("start", "end"), SCHEDULES)
@pytest.mark.parametrize(("side", "epochs"), [(14, 20), (7, 13)])
def test_schedule(start: str, end: str, side: int, epochs: int) -> None:
    """⌊β_e·γN⌋ guided patches in epoch e, β_e = β_0 + (e + 1)/E · (β_E − β_0), γN not rounded.

    Vessel patches get the lowest noise: without guidance they would all stay visible.
    """
    patches, vessels = side * side, side * side // 2
    masking = AnatomyGuidedMasking(
        patches, 2, ratio=0.5, eta=1, beta_start=float(start), beta_end=float(end)
    )
    anatomy = torch.zeros(2, 1, 2, 2 * patches)
    anatomy[..., : 2 * vessels] = 1
    noise = torch.linspace(0.01, 0.99, patches).expand(2, -1)
    views = {"index": torch.tensor([0, 9]), "anatomy": anatomy, "mask_noise": noise}
    for epoch in range(epochs):
        share = Fraction(epoch + 1, epochs)
        beta = Fraction(start) + share * (Fraction(end) - Fraction(start))
        expected = math.floor(beta * Fraction(1, 2) * patches)
        progress = Progress(epoch=epoch, epochs=epochs)
        assert masking.beta(progress) == pytest.approx(float(beta), abs=1e-12)
        mask = masking(views, progress).mask
        assert mask[:, :vessels].sum(dim=1).tolist() == [expected, expected]
        assert mask.sum(dim=1).tolist() == [patches // 2] * 2


def loop_weights(guidance: np.ndarray, size: int) -> np.ndarray:
    """f(g_i): the guidance inside each patch over all guidance, in double precision."""
    rows, columns = guidance.shape[0] // size, guidance.shape[1] // size
    sums = np.zeros(rows * columns)
    for row in range(guidance.shape[0]):
        for column in range(guidance.shape[1]):
            sums[row // size * columns + column // size] += guidance[row, column]
    return sums / sums.sum() if sums.sum() else sums


@pytest.mark.parametrize("eta", [0.0, 0.3, 0.5, 1.0])
def test_guidance_mix(tiny_views: dict[str, Tensor], eta: float) -> None:
    """f of G = η·B + (1 − η)·M, against loops; rows without any guidance are zero."""
    probability = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(1)) ** 4
    probability[3] = 0
    views = {**tiny_views, "probability": probability}
    weights = AnatomyGuidedMasking(16, 8, eta=eta).weights(views)
    for sample in range(4):
        b = tiny_views["anatomy"][sample, 0].double().numpy()
        m = probability[sample, 0].double().numpy()
        expected = loop_weights(eta * b + (1 - eta) * m, 8)
        np.testing.assert_allclose(weights[sample].numpy(), expected, rtol=2e-6, atol=0)
    assert weights.sum(dim=1).tolist() == pytest.approx([1, 1, 1, 0], abs=1e-6)


@pytest.mark.parametrize(("eta", "needed"), [(0.0, "probability"), (1.0, "anatomy")])
def test_pure_guidance_needs_a_single_map(
    tiny_views: dict[str, Tensor], eta: float, needed: str
) -> None:
    views = {needed: tiny_views["anatomy"]}
    guidance = AnatomyGuidedMasking(16, 8, eta=eta).guidance(views)
    assert torch.equal(guidance, tiny_views["anatomy"])


def test_tiny_guidance_is_still_a_distribution() -> None:
    guidance = torch.zeros(1, 1, 4, 8)
    guidance[..., :4], guidance[..., 4:] = 1e-30, 3e-30
    assert patch_weights(guidance, 4)[0].tolist() == pytest.approx([0.25, 0.75], rel=1e-5)


def test_uniform_among_vessels(tiny_views: dict[str, Tensor]) -> None:
    """Each patch with a vessel pixel has the same weight; the probability map plays no part."""
    masking = AnatomyGuidedMasking(16, 8, uniform_among_vessels=True)
    weights = masking.weights({"anatomy": tiny_views["anatomy"]})
    for sample in range(4):
        anatomy = tiny_views["anatomy"][sample, 0].numpy()
        vessel = [
            float(anatomy[8 * row : 8 * row + 8, 8 * column : 8 * column + 8].any())
            for row in range(4)
            for column in range(4)
        ]
        expected = [value / max(1, sum(vessel)) for value in vessel]
        assert weights[sample].tolist() == pytest.approx(expected, abs=1e-7)
    assert weights[3].tolist() == [0] * 16


def test_vessel_share_by_hand() -> None:
    """Two samples of four patches: 1 of 2 and 2 of 2 masked patches have a vessel pixel, 3/4."""
    anatomy = torch.zeros(2, 1, 4, 4)
    anatomy[0, 0, 0, 0] = 1  # patch 0
    anatomy[1, 0, 2:, 1] = 1  # patch 2
    anatomy[1, 0, 3, 3] = 1  # patch 3
    mask = mask_highest(torch.tensor([[0.9, 0.8, 0.1, 0.2], [0.1, 0.2, 0.9, 0.8]]), keep=2)
    assert vessel_share(mask, anatomy, 2).item() == 0.75
