"""InfoNCE on one process, against loops in double precision; on two: see test_collective.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmark.nn.objectives.contrastive import info_nce


def loop(queries: np.ndarray, keys: np.ndarray, temperature: float) -> float:
    total = 0.0
    for number, q in enumerate(queries):
        similar = [q @ k / np.linalg.norm(q) / np.linalg.norm(k) / temperature for k in keys]
        total -= similar[number] - math.log(sum(math.exp(s) for s in similar))
    return total / len(queries)


def test_loss_and_gradient_match_the_formula() -> None:
    rng = np.random.default_rng(0)
    queries, keys = rng.normal(size=(5, 4)), 3 * rng.normal(size=(5, 4))
    q, k = (torch.from_numpy(x).requires_grad_() for x in (queries, keys))
    loss = info_nce(q, k, 0.2)
    assert loss.item() == pytest.approx(loop(queries, keys, 0.2), rel=1e-12)
    loss.backward()
    assert k.grad is None
    for place in ((0, 0), (3, 2)):
        ends = []
        for sign in (1, -1):
            moved = queries.copy()
            moved[place] += sign * 1e-5
            ends.append(loop(moved, keys, 0.2))
        assert q.grad[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


def test_equal_features_give_the_loss_of_chance() -> None:
    """−log(1/N) where all keys are the same, next to 0 where every query has its own."""
    same = torch.ones(8, 3)
    assert info_nce(same, same, 0.2).item() == pytest.approx(math.log(8), rel=1e-6)
    assert info_nce(torch.eye(8), torch.eye(8), 0.05).item() < 1e-7


def test_cosines_are_not_rounded_under_autocast() -> None:
    torch.manual_seed(0)
    queries, keys = torch.randn(6, 4), torch.randn(6, 4)
    with torch.autocast("cpu", torch.bfloat16):
        loss = info_nce(queries, keys, 0.2)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, info_nce(queries, keys, 0.2))
