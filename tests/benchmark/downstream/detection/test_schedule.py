"""The steps and the warm-up of ViTDet, at its own numbers."""

from __future__ import annotations

import pytest

from benchmark.downstream.detection.schedule import MultiStep
from benchmark.training.schedules import CosinePerEpoch, build_schedule

STEPS, EPOCHS = 1_843.75, 100  # 184,375 iterations of 64 images


def test_milestones_are_the_iterations_of_the_authors():
    schedule = MultiStep(EPOCHS, steps_per_epoch=1844, warmup_steps=0)

    def factor(iteration: int) -> float:
        return schedule(iteration / STEPS)

    assert factor(0) == factor(163_888) == 1
    assert factor(163_889) == pytest.approx(0.1)
    assert factor(177_546) == pytest.approx(0.1)
    assert factor(177_547) == factor(184_374) == pytest.approx(0.01)


def test_the_warm_up_counts_steps():
    schedule = MultiStep(EPOCHS, steps_per_epoch=118)
    for step in (0, 1, 100, 249, 250, 251, 5000):
        expected = 0.001 + 0.999 * step / 250 if step < 250 else 1.0
        assert schedule(step / 118) == pytest.approx(expected)


def test_a_run_shorter_than_its_warm_up_still_falls():
    schedule = MultiStep(2, 10, milestones=(0.5,), gamma=0.5, warmup_steps=40, warmup_factor=0.0)
    assert schedule(0.9) == pytest.approx(9 / 40)
    assert schedule(1.0) == pytest.approx(10 / 40 / 2)


def test_any_schedule_is_built_and_knows_the_steps_if_it_asks():
    steps = build_schedule(dict(type=MultiStep, warmup_steps=20), epochs=4, steps_per_epoch=10)
    assert steps.steps_per_epoch == 10
    assert steps(1.0) == pytest.approx(0.001 + 0.999 / 2)
    cosine = build_schedule(dict(type=CosinePerEpoch), epochs=4, steps_per_epoch=10)
    assert cosine(2.0) == pytest.approx(0.5)
