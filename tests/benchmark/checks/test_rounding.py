"""The measure of what bf16 does to gradients, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from benchmark.checks.rounding import excess, relative_distance, round_weights


def test_distances_are_of_all_tensors_together() -> None:
    exact = {"a": torch.tensor([3.0]), "b": torch.tensor([[4.0]])}
    in_bf16 = {"a": torch.tensor([3.3]), "b": torch.tensor([[4.4]])}
    weights = {"a": torch.tensor([3.0]), "b": torch.tensor([[4.2]])}
    assert relative_distance(exact, in_bf16) == pytest.approx(0.1, rel=1e-5)
    assert excess(exact, in_bf16, weights) == pytest.approx(0.5 / 0.2, rel=1e-5)
    assert excess(exact, {**in_bf16, "a": torch.tensor([math.nan])}, weights) == math.inf


def test_matrices_are_rounded_to_eight_bits() -> None:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        # Numbers from 1 to 2 are multiples of 2⁻⁷; ties go to the even one.
        layer.weight.copy_(torch.tensor([[1 + 2**-7, 1 + 2**-8], [1 + 2**-8 + 2**-20, 0.5]]))
        layer.bias.copy_(torch.tensor([1 + 2**-8 + 2**-20, 0.1]))
    before = layer.bias.clone()
    round_weights(layer)
    assert layer.weight.tolist() == [[1 + 2**-7, 1], [1 + 2**-7, 0.5]]
    assert torch.equal(layer.bias, before)
