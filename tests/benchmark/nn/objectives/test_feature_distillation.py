"""Feature distillation: the formula, what gets gradients, and the average that follows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.method import Progress
from benchmark.nn.ema import LinearMomentum
from benchmark.nn.objectives.feature_distillation import (
    FeatureDistillation,
    SelfDistillation,
)
from benchmark.nn.vit import VisionTransformer


def loop_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """1 − cosine, place by place."""
    values = []
    for sample, row, column in np.ndindex(len(ours), *ours.shape[2:]):
        a, b = ours[sample, :, row, column], theirs[sample, :, row, column]
        values.append(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return float(np.mean(values))


@pytest.fixture
def pair(tiny_views: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    noise = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return (tiny_views["image"] + noise).requires_grad_(), tiny_views["image"]


def test_teacher_compares_both_images(
    tiny_vit: VisionTransformer, pair: tuple[Tensor, Tensor]
) -> None:
    objective = FeatureDistillation(tiny_vit)
    objective.train()
    assert not objective.teacher.training
    loss = objective.compare(*pair)
    with torch.no_grad():
        maps = [
            tiny_vit(image)[:, 1:].transpose(1, 2).unflatten(2, (4, 4)).double().numpy()
            for image in pair
        ]
    assert loss.item() == pytest.approx(loop_distance(*maps), rel=1e-5)
    loss.backward()
    assert pair[0].grad.any(dim=1).all()
    assert all(p.grad is None and not p.requires_grad for p in objective.parameters())
    assert objective.compare(pair[1], pair[1]).item() == pytest.approx(0, abs=1e-6)


def test_average_follows_the_encoder(
    tiny_vit: VisionTransformer, pair: tuple[Tensor, Tensor]
) -> None:
    """Equal at first; after a step θ' = m·θ' + (1 − m)·θ; it compares with its own weights."""
    objective = SelfDistillation(dict(type=LinearMomentum, start=0.9, end=0.9))
    objective.attach(tiny_vit, nn.Identity())
    expected = FeatureDistillation(tiny_vit).compare(*pair).item()
    assert objective.compare(*pair).item() == pytest.approx(expected, rel=1e-6)
    tiny_vit.requires_grad_(True)

    before = tiny_vit.norm.weight.detach().clone()
    with torch.no_grad():
        tiny_vit.norm.weight.add_(1)
    objective.after_step(tiny_vit, Progress())
    torch.testing.assert_close(objective.teacher.module.norm.weight, before + 0.1)
    assert any(name.startswith("teacher.module.") for name in objective.state_dict())

    objective.compare(*pair).backward()
    assert pair[0].grad.any()
    assert all(p.grad is None for p in tiny_vit.parameters())
    assert all(p.grad is None for p in objective.parameters())
