"""Objectives against their formulas in double precision, and what gradients they let through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Tensor

from benchmark.method import Progress
from benchmark.nn.masking.random import Mask, mask_highest
from benchmark.nn.objectives.anatomical_consistency import AnatomicalConsistency
from benchmark.nn.objectives.base import Reconstruction
from benchmark.nn.objectives.pixels import PixelReconstruction

ZERO = Progress()


@pytest.fixture
def mask(tiny_views: dict[str, Tensor]) -> Mask:
    return mask_highest(tiny_views["mask_noise"], keep=6)


@pytest.fixture
def reconstruction(mask: Mask) -> Reconstruction:
    prediction = torch.randn(4, 16, 192, generator=torch.Generator().manual_seed(7))
    return Reconstruction(prediction, mask, 8, (4, 4))


def loop_targets(images: np.ndarray, normalise: bool) -> np.ndarray:
    """Patches of 8² as (row, column, channel), normalised one by one with the unbiased variance."""
    targets = np.zeros((4, 16, 192))
    for sample in range(4):
        for patch in range(16):
            top, left = 8 * (patch // 4), 8 * (patch % 4)
            values = images[sample, :, top : top + 8, left : left + 8].transpose(1, 2, 0).ravel()
            if normalise:
                mean = values.sum() / 192
                variance = ((values - mean) ** 2).sum() / 191
                values = (values - mean) / np.sqrt(variance + 1e-6)
            targets[sample, patch] = values
    return targets


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("contrast", [1.0, 1e-3])
def test_reconstruction_loss(
    tiny_views: dict[str, Tensor], reconstruction: Reconstruction, normalise: bool, contrast: float
) -> None:
    """Mean squared error over the masked patches; at low contrast the floor 1e-6 counts."""
    images = tiny_views["image"] * contrast
    targets = loop_targets(images.double().numpy(), normalise)
    total = count = 0.0
    for sample in range(4):
        for patch in range(16):
            if reconstruction.mask.mask[sample, patch]:
                difference = (
                    reconstruction.prediction[sample, patch].numpy() - targets[sample, patch]
                )
                total += (difference**2).sum() / 192
                count += 1
    assert count == 40
    loss = PixelReconstruction(normalise)(reconstruction, {"image": images}, ZERO)
    assert loss.item() == pytest.approx(total / count, rel=1e-6)


@pytest.mark.parametrize("normalise", [True, False])
def test_perfect_prediction_gives_the_image(
    tiny_views: dict[str, Tensor], mask: Mask, normalise: bool
) -> None:
    images = tiny_views["image"] * 0.3 + 0.7
    targets = torch.from_numpy(loop_targets(images.double().numpy(), normalise))
    perfect = Reconstruction(targets, mask, 8, (4, 4))
    objective = PixelReconstruction(normalise)
    torch.testing.assert_close(objective.image(perfect, images), images, rtol=0, atol=2e-6)
    assert objective(perfect, {"image": images}, ZERO).item() < 1e-10


def cross_entropy(logits: np.ndarray, target: np.ndarray) -> float:
    p = expit(logits)
    return float(-np.mean(target * np.log(p) + (1 - target) * np.log(1 - p)))


def absolute(logits: np.ndarray, target: np.ndarray) -> float:
    return float(np.mean(np.abs(expit(logits) - target)))


def dice(logits: np.ndarray, target: np.ndarray) -> float:
    p = expit(logits)
    scores = [(2 * (a * b).sum() + 1e-5) / (a.sum() + b.sum() + 1e-5) for a, b in zip(p, target)]
    return 1 - sum(scores) / len(scores)


METRICS = [("ce", cross_entropy), ("l1", absolute), ("dice", dice)]


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Logits and a probability map, 3×1×6×7."""
    rng = np.random.default_rng(0)
    return rng.normal(0, 2, (3, 1, 6, 7)), rng.random((3, 1, 6, 7)) ** 3


@pytest.mark.parametrize(("metric", "formula"), METRICS)
def test_consistency_formula(
    pair: tuple[np.ndarray, np.ndarray], metric: str, formula: Callable
) -> None:
    logits, target = (torch.from_numpy(array).float().requires_grad_() for array in pair)
    loss = AnatomicalConsistency(metric)(logits, target)
    assert loss.item() == pytest.approx(formula(*pair), rel=1e-6)
    loss.backward()
    assert logits.grad.any()
    assert target.grad is None
    if metric == "ce":
        assert AnatomicalConsistency()(logits, target) == loss


def test_consistency_is_computed_in_single_precision() -> None:
    logits = torch.tensor([[[[0.5, -3.0, 20.0]]]], dtype=torch.bfloat16)
    target = torch.tensor([[[[0.3, 0.1, 0.9]]]])
    loss = AnatomicalConsistency()(logits, target)
    assert loss.dtype == torch.float32
    expected = cross_entropy(logits.double().numpy(), target.double().numpy())
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_standardised_patches_are_cached_per_image(
    tiny_views: dict[str, torch.Tensor], reconstruction: Reconstruction
) -> None:
    images = tiny_views["image"]
    first = reconstruction.standardised(images)
    assert reconstruction.standardised(images)[0] is first[0]
    assert replace(reconstruction, image=images).standardised(images)[0] is first[0]
    other = reconstruction.standardised(2 * images + 1)
    torch.testing.assert_close(other[1], 2 * first[1] + 1)
    torch.testing.assert_close(other[2], 2 * first[2], rtol=1e-3, atol=1e-5)
