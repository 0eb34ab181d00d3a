"""Tests run in random order, with the same random numbers in each."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch


def _draw() -> tuple[float, float, float]:
    return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002


def _first_of_seed_0() -> tuple[float, float, float]:
    generator = torch.Generator().manual_seed(0)
    numpy = np.random.RandomState(0).random_sample()
    return random.Random(0).random(), numpy, torch.rand(1, generator=generator).item()


@pytest.fixture(scope="module")
def shared() -> tuple[float, float, float]:
    return _draw()


@pytest.mark.parametrize("number", range(3))
def test_tests_start_from_the_same_seeds(number: int) -> None:
    assert _draw() == _first_of_seed_0()


@pytest.mark.parametrize("number", range(3))
def test_shared_fixtures_start_from_the_same_seeds(
    number: int, shared: tuple[float, float, float]
) -> None:
    _draw()
    assert shared == _first_of_seed_0()
