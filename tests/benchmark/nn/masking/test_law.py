"""Which patches are masked how often: χ² tests on fixed seeds against independent laws."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from benchmark.method import Progress
from benchmark.nn.masking.anatomy import AnatomyGuidedMasking
from benchmark.nn.masking.random import RandomMasking

FIRST = Progress(seed=8)


def equal_shares(counts: np.ndarray, draws: int, chosen: int) -> float:
    """p-value that every patch is in the `chosen` of n equally often, in `draws` subsets.

    The counts of subsets drawn without replacement vary less than a multinomial's, by
    n/(n−1) · (1 − chosen/n); corrected for that, the statistic has the law of χ².
    """
    n = len(counts)
    share = chosen / n
    variance = draws * share * (1 - share) * n / (n - 1)
    statistic = ((counts - draws * share) ** 2).sum() / variance
    return stats.chi2.sf(statistic, n - 1)


def strip(weights: np.ndarray) -> Tensor:
    """An anatomy of one row of 10×10 patches, `weights[i]` vessel pixels in patch i."""
    anatomy = np.zeros((1, 1, 10, 10 * len(weights)))
    for patch, pixels in enumerate(weights):
        block = np.zeros(100)
        block[:pixels] = 1
        anatomy[0, 0, :, 10 * patch : 10 * patch + 10] = block.reshape(10, 10)
    return torch.from_numpy(anatomy).float()


def draw(masking: AnatomyGuidedMasking, anatomy: Tensor, draws: int) -> np.ndarray:
    """Masks of `draws` samples with the same anatomy, draws×N bool."""
    views = {"index": torch.arange(draws), "anatomy": anatomy.expand(draws, -1, -1, -1)}
    return masking(views, FIRST).mask.numpy().astype(bool)


def full_guidance(patches: int, masked: int, **arguments: bool) -> AnatomyGuidedMasking:
    """All `masked` patches are guided ones, η = 1."""
    return AnatomyGuidedMasking(
        patches, 10, ratio=masked / patches, eta=1, beta_start=1, beta_end=1, **arguments
    )


def test_random_masking_is_uniform() -> None:
    mask = RandomMasking(16, 4, ratio=0.75)({"index": torch.arange(20_000)}, FIRST).mask.numpy()
    assert equal_shares(mask.sum(axis=0), 20_000, 12) > 0.01
    together = (mask.T @ mask)[np.triu_indices(16, 1)] / 20_000
    expected = 12 / 16 * 11 / 15
    deviation = np.abs(together - expected) / np.sqrt(expected * (1 - expected) / 20_000)
    assert deviation.max() < 4


PIXELS = np.array([5, 40, 0, 12, 100, 1, 0, 30, 7, 60])


def test_three_of_six_follow_successive_draws() -> None:
    """χ² of all 20 sets against the exact chances of three weighted draws without replacement."""
    pixels = [50, 10, 25, 5, 80, 30]
    chances = {}
    for subset in combinations(range(6), 3):
        chance = 0.0
        for first, second, third in permutations(subset):
            left = sum(pixels)
            path = pixels[first] / left
            left -= pixels[first]
            path *= pixels[second] / left
            left -= pixels[second]
            chance += path * pixels[third] / left
        chances[subset] = chance
    assert sum(chances.values()) == pytest.approx(1)
    masks = draw(full_guidance(6, 3), strip(np.array(pixels)), 40_000)
    seen = Counter(tuple(np.flatnonzero(mask).tolist()) for mask in masks)
    counts = [seen[subset] for subset in chances]
    expected = [40_000 * chance for chance in chances.values()]
    assert stats.chisquare(counts, expected).pvalue > 0.01


def test_remaining_masked_patches_are_uniform() -> None:
    """Two guided of five masked: the other three fall equally often on patches without vessels.

    All vessel patches weigh so much more than the rest of the guidance that the two guided ones
    are the two vessel patches.
    """
    masking = AnatomyGuidedMasking(10, 10, ratio=0.5, eta=1, beta_start=0.4, beta_end=0.4)
    masks = draw(masking, strip(np.array([0, 9, 0, 0, 90, 0, 0, 0, 0, 0])), 20_000)
    counts = masks.sum(axis=0)
    assert counts[[1, 4]].tolist() == [20_000, 20_000]
    assert equal_shares(np.delete(counts, [1, 4]), 20_000, 3) > 0.01


def test_fewer_vessel_patches_than_requested() -> None:
    """Six guided patches asked for, three there are: all three, and three uniform ones."""
    pixels = np.array([0, 1, 0, 0, 100, 0, 0, 20, 0, 0])
    counts = draw(full_guidance(10, 6), strip(pixels), 20_000).sum(axis=0)
    assert counts[pixels > 0].tolist() == [20_000] * 3
    assert equal_shares(counts[pixels == 0], 20_000, 3) > 0.01


@pytest.mark.parametrize("uniform_among_vessels", [False, True])
def test_no_guidance_is_random_masking(uniform_among_vessels: bool) -> None:
    masking = full_guidance(10, 5, uniform_among_vessels=uniform_among_vessels)
    masks = draw(masking, strip(np.zeros(10, dtype=int)), 20_000)
    random = RandomMasking(10, 10, ratio=0.5)({"index": torch.arange(20_000)}, FIRST)
    np.testing.assert_array_equal(masks, random.mask.numpy())
    assert equal_shares(masks.sum(axis=0), 20_000, 5) > 0.01


def test_uniform_among_vessels() -> None:
    """Three of the eight patches with vessel pixels, whatever their number, equally often."""
    masks = draw(full_guidance(10, 3, uniform_among_vessels=True), strip(PIXELS), 20_000)
    counts = masks.sum(axis=0)
    assert counts[PIXELS == 0].tolist() == [0, 0]
    assert equal_shares(counts[PIXELS > 0], 20_000, 3) > 0.01


def test_guided_and_random_draws_are_independent() -> None:
    masking = AnatomyGuidedMasking(10, 10, ratio=0.2, eta=1, beta_start=0.5, beta_end=0.5)
    masks = draw(masking, strip(np.array([50, 50, 0, 0, 0, 0, 0, 0, 0, 0])), 20_000)
    guided_only_first = masks[:, 0] & ~masks[:, 1]
    guided_only_second = masks[:, 1] & ~masks[:, 0]
    table = [masks[rows][:, 2:].sum(axis=0) for rows in (guided_only_first, guided_only_second)]
    assert stats.chi2_contingency(table).pvalue > 0.01
    both = (masks[:, 0] & masks[:, 1]).mean()
    # After the guided patch the second one is any of the nine others.
    assert both == pytest.approx(1 / 9, abs=4 * (8 / 81 / 20_000) ** 0.5)
