"""The learning rates of I-JEPA and CheXWorld at hand-worked epochs."""

from __future__ import annotations

import math

import pytest

from benchmark.engine.schedules import WarmupCosine
from benchmark.engine.stretched_schedule import StretchedWarmupCosine


def test_rates_of_ijepa() -> None:
    """1e-4 → 1e-3 over 15 epochs, then half a cosine to 1e-6 at epoch 600."""
    schedule = StretchedWarmupCosine(600, 15, min_factor=1e-3, start_factor=0.1)
    rates = {0: 1e-4, 7.5: 5.5e-4, 15: 1e-3, 307.5: (1e-3 + 1e-6) / 2, 600: 1e-6}
    for epoch, rate in rates.items():
        assert 1e-3 * schedule(epoch) == pytest.approx(rate, rel=1e-9)


def test_rates_of_chexworld_end_before_the_cosine_does() -> None:
    """From 0 to 2e-4 over 50 epochs; at epoch 300 of a cosine to epoch 375: 2.6e-5."""
    schedule = StretchedWarmupCosine(300, 50, min_factor=1e-6 / 2e-4, stretch=1.25)
    assert schedule(0) == 0
    assert 2e-4 * schedule(25) == pytest.approx(1e-4)
    assert 2e-4 * schedule(50) == pytest.approx(2e-4)
    last = 1e-6 + (2e-4 - 1e-6) * (1 + math.cos(math.pi * 250 / 325)) / 2
    assert 2e-4 * schedule(300) == pytest.approx(last)
    assert last == pytest.approx(2.6e-5, rel=0.03)


def test_without_its_additions_it_is_the_common_schedule() -> None:
    plain, other = WarmupCosine(90, 7, 0.1), StretchedWarmupCosine(90, 7, 0.1)
    assert [plain(epoch) for epoch in range(91)] == [other(epoch) for epoch in range(91)]
