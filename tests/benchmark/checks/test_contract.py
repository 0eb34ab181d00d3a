"""How the contract compares two steps; what it finds in methods is tested beside these."""

from __future__ import annotations

import math

import pytest
import torch

from benchmark.checks.contract import largest_difference


def test_thelargest_difference_is_relative_to_the_largest_gradient():
    expected = {"a": torch.tensor([1.0, -8.0]), "b": torch.tensor([0.5])}
    found = {"a": torch.tensor([1.0, -8.5]), "b": torch.tensor([1.5])}
    assert largest_difference(expected, found) == (1 / 8, "b")


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_no_number_is_thelargest_difference(value, side):
    """Wherever it is, and on whichever side."""
    sides = [{"a": torch.ones(2), "b": torch.ones(2), "c": torch.ones(2)} for _ in range(2)]
    sides[side]["b"][1] = value
    difference, where = largest_difference(*sides)
    assert difference == math.inf
    if side:
        assert where == "b"


def test_without_any_gradient():
    zeros = {"a": torch.zeros(2)}
    assert largest_difference(zeros, zeros) == (0.0, "a")
