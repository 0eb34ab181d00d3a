"""Dice and cross-entropy against their formulas in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit

from benchmark.nn.objectives.dice import batch_dice, dice_loss, soft_dice


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, (3, 2, 4, 5))


@pytest.fixture
def target() -> np.ndarray:
    target = (np.random.default_rng(1).random((3, 2, 4, 5)) < 0.3).astype(np.float64)
    target[2, 1] = 0
    return target


def loop_dice(probability: np.ndarray, target: np.ndarray, smooth: float) -> float:
    overlap = total = 0.0
    for p, t in zip(probability.flatten(), target.flatten()):
        overlap += p * t
        total += p + t
    return (2 * overlap + smooth) / (total + smooth)


@pytest.mark.parametrize("smooth", [1e-5, 1.0])
def test_dice_loss(logits: np.ndarray, target: np.ndarray, smooth: float) -> None:
    """Per sample and channel: the mean of single scores; over the batch: one score for all."""
    probability = expit(logits)
    scores = [
        loop_dice(probability[b, c], target[b, c], smooth) for b in range(3) for c in range(2)
    ]
    arguments = torch.from_numpy(logits), torch.from_numpy(target), smooth
    assert dice_loss(*arguments).item() == pytest.approx(1 - sum(scores) / 6, abs=1e-12)
    whole = 1 - loop_dice(probability, target, smooth)
    probabilities = torch.from_numpy(probability), *arguments[1:]
    assert 1 - batch_dice(*probabilities).item() == pytest.approx(whole, abs=1e-12)
    assert abs(whole - (1 - sum(scores) / 6)) > 1e-3, "the two differ on this input"


def test_soft_dice_limits() -> None:
    ones, zeros = torch.ones(1, 10), torch.zeros(1, 10)
    assert soft_dice(ones, ones).item() == 1
    assert soft_dice(zeros, zeros).item() == 1
    half = torch.cat([torch.ones(5), torch.zeros(5)])[None]
    assert soft_dice(half, 1 - half).item() == pytest.approx(0, abs=1e-6)
    assert soft_dice(half, ones).item() == pytest.approx(2 * 5 / 15, abs=1e-6)
