"""Temperatures, centres and cross-entropies against their formulas, one number at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from benchmark.method import Progress
from benchmark.nn.objectives.self_distillation import (
    Centre,
    TeacherTemperature,
    cross_entropy,
    distil_across_views,
    teacher_targets,
)


def test_temperature_warms_up_then_stays_constant() -> None:
    """As numpy.linspace over the first epochs, both ends included."""
    temperature = TeacherTemperature(0.04, 0.07, epochs=5)
    expected = [*np.linspace(0.04, 0.07, 5), 0.07, 0.07]
    found = [temperature(Progress(epoch=epoch, epochs=7)) for epoch in range(7)]
    assert found == pytest.approx(expected)
    assert TeacherTemperature(0.04, 0.07, epochs=0)(Progress()) == 0.07
    assert TeacherTemperature(0.04, 0.07, epochs=1)(Progress()) == 0.04


def test_centre_is_an_ema_of_batch_means() -> None:
    """Two steps, the second in two parts of different size; unchanged until the update."""
    rng = np.random.default_rng(0)
    centre, expected = Centre((1, 1, 3), momentum=0.9), np.zeros(3)
    for sizes in ((4,), (2, 3)):
        logits = [rng.normal(size=(size, 3)) for size in sizes]
        for part in logits:
            centre.observe(torch.from_numpy(part).float().requires_grad_())
        np.testing.assert_allclose(centre.value[0, 0].numpy(), expected, atol=1e-6)
        centre.update()
        expected = 0.9 * expected + 0.1 * np.concatenate(logits).mean(axis=0)
    np.testing.assert_allclose(centre.value[0, 0].numpy(), expected, atol=1e-6)
    assert list(centre.state_dict()) == ["value"]


def test_targets_and_errors_match_the_formulas() -> None:
    rng = np.random.default_rng(1)
    teacher, student, centre = rng.normal(size=(4, 5)), rng.normal(size=(4, 5)), rng.normal(size=5)
    targets = teacher_targets(torch.from_numpy(teacher), torch.from_numpy(centre), 0.04)
    np.testing.assert_allclose(targets.numpy(), softmax((teacher - centre) / 0.04, axis=1))
    errors = cross_entropy(targets, torch.from_numpy(student), 0.1)
    expected = [-(t * log_softmax(s / 0.1)).sum() for t, s in zip(targets.numpy(), student)]
    np.testing.assert_allclose(errors.numpy(), expected)


def test_views_are_not_compared_with_themselves() -> None:
    """Two teacher and three student views: four pairs; no gradient for the teacher."""
    rng = np.random.default_rng(2)
    teacher = [torch.from_numpy(rng.normal(size=(4, 5))).requires_grad_() for _ in range(2)]
    student = [torch.from_numpy(rng.normal(size=(4, 5))).requires_grad_() for _ in range(3)]
    targets = [teacher_targets(logits, torch.zeros(5), 0.07) for logits in teacher]
    loss = distil_across_views(targets, student, 0.1)
    pairs = [(0, 1), (0, 2), (1, 0), (1, 2)]
    expected = np.mean([cross_entropy(targets[t], student[s], 0.1).mean().item() for t, s in pairs])
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    loss.backward()
    assert all(logits.grad is None for logits in teacher)
    assert all(logits.grad.any() for logits in student)


def test_small_temperatures_stay_finite_under_autocast() -> None:
    """Softmax and logarithm run in float32 whatever the logits have."""
    logits = torch.tensor([[1.0, -1.0, 0.3]], dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        targets = teacher_targets(logits, torch.zeros(3), 0.001)
        errors = cross_entropy(targets, -logits, 0.001)
    assert targets.dtype == errors.dtype == torch.float32
    assert targets.tolist() == [[1, 0, 0]]
    assert errors.item() == pytest.approx(2000, rel=1e-3)
