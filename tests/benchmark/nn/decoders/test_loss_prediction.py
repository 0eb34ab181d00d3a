"""HPM's loss predictor and what trains it, against loops in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmark.nn.decoders.loss_prediction import (
    LossPredictingDecoder,
    RelativeLossPrediction,
)


def pair_loss(predicted: np.ndarray, loss: np.ndarray, floor: float) -> float:
    """Over ordered pairs of patches of an image; ties do not count."""
    total, count = 0.0, 0
    for image in range(len(loss)):
        for i in range(loss.shape[1]):
            for j in range(loss.shape[1]):
                if loss[image, i] == loss[image, j]:
                    continue
                chance = 1 / (1 + math.exp(predicted[image, i] - predicted[image, j]))
                right = chance if loss[image, j] > loss[image, i] else 1 - chance
                total -= math.log(right + floor)
                count += 1
    return total / count


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and true losses with some ties; one image is all ties."""
    rng = np.random.default_rng(0)
    loss = rng.integers(0, 5, (3, 7)) / 4
    loss[2] = 0.5
    return rng.normal(0, 2, (3, 7)), loss


@pytest.mark.parametrize("official", [False, True])
def test_relative_form(pair: tuple[np.ndarray, np.ndarray], official: bool) -> None:
    floor = 1e-6 if official else 0.0
    predicted, loss = (torch.from_numpy(a).requires_grad_() for a in pair)
    value = RelativeLossPrediction(official_code=official)(predicted.float(), loss)
    assert value.item() == pytest.approx(pair_loss(*pair, floor), rel=1e-6)
    value.backward()
    assert loss.grad is None
    for place in np.ndindex(*pair[0].shape):
        ends = []
        for step in (1e-5, -1e-5):
            moved = pair[0].copy()
            moved[place] += step
            ends.append(pair_loss(moved, pair[1], floor))
        slope = (ends[0] - ends[1]) / 2e-5
        assert predicted.grad[place].item() == pytest.approx(slope, abs=2e-7)
    assert not predicted.grad[2].any()


def test_relative_form_by_hand() -> None:
    """Three patches, ranked 2 < 0 < 1 and predicted as 0, ln 3, 0."""
    loss, predicted = torch.tensor([[2.0, 5.0, 1.0]]), torch.tensor([[0.0, math.log(3), 0.0]])
    # 0 against 1 and 2 against 1: odds of 3 in favour; 0 against 2: even.
    expected = (2 * math.log(4 / 3) + math.log(2)) / 3
    assert RelativeLossPrediction()(predicted, loss).item() == pytest.approx(expected, rel=1e-6)


def test_where_the_released_code_saturates() -> None:
    loss = torch.tensor([[0.0, 1.0]])
    values, slopes = [], []
    for official in (False, True):
        predicted = torch.tensor([[40.0, 0.0]], requires_grad=True)
        value = RelativeLossPrediction(official)(predicted, loss)
        value.backward()
        values.append(value.item())
        slopes.append(predicted.grad[0, 0].item())
    assert values == pytest.approx([40.0, -math.log(1e-6)])
    assert slopes == pytest.approx([1.0, 0.0], abs=1e-6)


def test_ties_have_no_loss() -> None:
    predicted = torch.randn(2, 5, requires_grad=True)
    value = RelativeLossPrediction()(predicted, torch.ones(2, 5))
    value.backward()
    assert value.item() == 0
    assert not predicted.grad.any()


@torch.no_grad()
def test_predicted_losses_are_not_rounded_under_autocast() -> None:
    decoder = LossPredictingDecoder(24, (2, 3), 4, width=16, depth=1, num_heads=2)
    with torch.autocast("cpu", torch.bfloat16):
        predicted = decoder.predict_loss(torch.randn(2, 1 + 6, 24), torch.arange(6).expand(2, -1))
    assert predicted.dtype == torch.float32
