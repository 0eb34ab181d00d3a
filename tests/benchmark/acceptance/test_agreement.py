"""What compares the device with the CPU notices a difference."""

from __future__ import annotations

import math

import pytest
import torch

from benchmark.acceptance import agreement
from benchmark.acceptance.agreement import exact_fp32, first_steps, relative_difference


def test_relative_difference_by_hand():
    expected, found = torch.tensor([4.0, -8.0]), torch.tensor([4.0, -7.9])
    assert relative_difference(expected, found) == pytest.approx(0.1 / 8, rel=1e-5)
    assert relative_difference(expected, torch.tensor([4.0, math.nan])) == math.inf
    assert relative_difference(torch.zeros(2), torch.zeros(2)) == 0


def test_tf32_is_off_within_the_block_only():
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    try:
        with exact_fp32():
            assert not torch.backends.cudnn.allow_tf32
            assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_a_gradient_that_is_off_by_a_hundredth_misses_the_goal(monkeypatch, factor):
    true, calls = agreement.step_gradients, []

    def step(*given):
        terms, gradients = true(*given)
        calls.append(1)
        scale = factor if len(calls) == 2 else 1.0
        return terms, {name: scale * value for name, value in gradients.items()}

    monkeypatch.setattr(agreement, "step_gradients", step)
    monkeypatch.setattr(agreement, "methods_of", lambda reduced: ["mae"])
    found = {finding.what: finding for finding in first_steps(reduced=True)}
    assert found["mae: loss, relative"].reached
    assert found["mae: gradient, of the largest one"].reached is (factor == 1.0)
