"""Learning-rate schedules against their formulas and against torch's schedulers."""

from __future__ import annotations

import bisect
import math

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, PolynomialLR

from benchmark.training.schedules import (
    CosinePerEpoch,
    CosineRamp,
    PolynomialPerEpoch,
    StretchedWarmupCosine,
    WarmupCosine,
    WarmupMultiStep,
)


def mae_rate(epoch: float, epochs: float, warmup: float, lr: float, min_lr: float) -> float:
    """`adjust_learning_rate` of the official MAE code, as published."""
    if epoch < warmup:
        return lr * epoch / warmup
    return min_lr + (lr - min_lr) * 0.5 * (
        1.0 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup))
    )


@pytest.mark.parametrize(("warmup", "minimum"), [(40, 0.0), (40, 0.1), (0, 0.0), (2.5, 0.01)])
def test_warmup_cosine_is_the_schedule_of_mae(warmup, minimum):
    schedule = WarmupCosine(800, warmup, minimum)
    for epoch in (0, 0.25, 1, 2.5, 20, 39.99, 40, 41, 420, 799.75):
        expected = mae_rate(epoch, 800, warmup, 1.5e-4, minimum * 1.5e-4)
        assert 1.5e-4 * schedule(epoch) == pytest.approx(expected, rel=1e-12, abs=1e-18)


def test_warmup_cosine_at_points_known_by_hand():
    schedule = WarmupCosine(110, warmup_epochs=10, min_factor=0.2)
    assert schedule(0) == 0
    assert schedule(5) == 0.5
    assert schedule(10) == 1
    assert schedule(60) == pytest.approx(0.6)  # half way between 1 and 0.2
    assert schedule(110) == pytest.approx(0.2)


def test_a_run_that_is_all_warmup_ends_without_dividing_by_zero():
    schedule = WarmupCosine(5, warmup_epochs=5)
    assert schedule(4) == 0.8
    assert schedule(5) == 1


def simmim_rate(iteration: int, per_epoch: int) -> float:
    """`MultiStepLRScheduler` of the official SimMIM code: base 4e-4, warm-up from 2e-6, as run."""
    warmup = 10 * per_epoch
    if iteration < warmup:
        return 2e-6 + iteration * (4e-4 - 2e-6) / warmup
    return 4e-4 * 0.1 ** bisect.bisect_right([700 * per_epoch], iteration)


def test_warmup_multi_step_is_the_schedule_of_simmim():
    """Iteration by iteration around the warm-up and the fall at epoch 700 of 800."""
    schedule = WarmupMultiStep(800, (700 / 800,), 0.1, warmup_epochs=10, warmup_factor=5e-3)
    for iteration in (0, 1, 17, 49, 50, 51, 2000, 3499, 3500, 3501, 3999):
        expected = simmim_rate(iteration, 5)
        assert 4e-4 * schedule(iteration / 5) == pytest.approx(expected, rel=1e-9)


def test_several_milestones_multiply():
    """Without a warm-up the rate starts at its peak; each milestone counts once it is reached."""
    schedule = WarmupMultiStep(100, (0.5, 0.75), gamma=0.2)
    rates = [schedule(epoch) for epoch in (0, 49.9, 50, 74.9, 75, 99)]
    assert rates == pytest.approx([1, 1, 0.2, 0.2, 0.04, 0.04])


def _torch_rates(kind: type[LRScheduler], epochs: int, **arguments: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = kind(optimizer, **arguments)
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_per_epoch_is_torchs_with_t_max_epochs():
    schedule = CosinePerEpoch(20)
    expected = _torch_rates(CosineAnnealingLR, 20, T_max=20)
    assert [schedule(epoch) for epoch in range(20)] == pytest.approx(expected, abs=1e-9)


def test_polynomial_per_epoch_is_torchs():
    schedule = PolynomialPerEpoch(20, power=0.9)
    expected = _torch_rates(PolynomialLR, 20, total_iters=20, power=0.9)
    assert [schedule(epoch) for epoch in range(20)] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", [CosinePerEpoch, PolynomialPerEpoch])
def test_per_epoch_schedules_do_not_move_inside_an_epoch(kind):
    schedule = kind(10)
    assert schedule(3) == schedule(3.01) == schedule(3.99) != schedule(4)
    assert schedule(0) == 1


def test_rates_of_ijepa():
    """1e-4 → 1e-3 over 15 epochs, then half a cosine to 1e-6 at epoch 600."""
    schedule = StretchedWarmupCosine(600, 15, min_factor=1e-3, start_factor=0.1)
    rates = {0: 1e-4, 7.5: 5.5e-4, 15: 1e-3, 307.5: (1e-3 + 1e-6) / 2, 600: 1e-6}
    for epoch, rate in rates.items():
        assert 1e-3 * schedule(epoch) == pytest.approx(rate, rel=1e-9)


def test_rates_of_chexworld_end_before_the_cosine_does():
    """From 0 to 2e-4 over 50 epochs; at epoch 300 of a cosine to epoch 375: 2.6e-5."""
    schedule = StretchedWarmupCosine(300, 50, min_factor=1e-6 / 2e-4, stretch=1.25)
    assert schedule(0) == 0
    assert 2e-4 * schedule(25) == pytest.approx(1e-4)
    assert 2e-4 * schedule(50) == pytest.approx(2e-4)
    last = 1e-6 + (2e-4 - 1e-6) * (1 + math.cos(math.pi * 250 / 325)) / 2
    assert 2e-4 * schedule(300) == pytest.approx(last)
    assert last == pytest.approx(2.6e-5, rel=0.03)


def test_stretched_schedule_without_its_additions_is_the_common_one():
    plain, other = WarmupCosine(90, 7, 0.1), StretchedWarmupCosine(90, 7, 0.1)
    assert [plain(epoch) for epoch in range(91)] == [other(epoch) for epoch in range(91)]


def test_ramp_is_that_of_dino():
    """end + ½(start − end)(1 + cos πi/n) at step i of n."""
    steps, per_epoch = 60, 12
    i = np.arange(steps)
    expected = 0.4 + 0.5 * (0.04 - 0.4) * (1 + np.cos(np.pi * i / steps))
    ramp = CosineRamp(epochs=5, end=10)
    assert [0.04 * ramp(step / per_epoch) for step in i] == pytest.approx(expected.tolist())
    assert ramp(5) == pytest.approx(10)
