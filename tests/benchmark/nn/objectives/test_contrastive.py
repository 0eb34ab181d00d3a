"""InfoNCE on one process, against loops in double precision; on two: see test_collective.py."""

from __future__ import annotations

import math

import pytest
import torch

from benchmark.nn.objectives.contrastive import info_nce


def test_equal_features_give_the_loss_of_chance() -> None:
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


def test_keys_get_no_gradient() -> None:
    queries, keys = (torch.randn(4, 8, requires_grad=True) for _ in range(2))
    info_nce(queries, keys, temperature=0.2).backward()
    assert queries.grad is not None
    assert queries.grad.abs().sum() > 0
    assert keys.grad is None
