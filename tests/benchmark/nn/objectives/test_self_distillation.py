"""Temperatures, centres and cross-entropies against their formulas, one number at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.method import Progress
from benchmark.nn.objectives.self_distillation import (
    Centre,
    TeacherTemperature,
    cross_entropy,
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


def test_small_temperatures_stay_finite_under_autocast() -> None:
    """Softmax and logarithm run in float32 whatever the logits have."""
    logits = torch.tensor([[1.0, -1.0, 0.3]], dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        targets = teacher_targets(logits, torch.zeros(3), 0.001)
        errors = cross_entropy(targets, -logits, 0.001)
    assert targets.dtype == errors.dtype == torch.float32
    assert targets.tolist() == [[1, 0, 0]]
    assert errors.item() == pytest.approx(2000, rel=1e-3)
