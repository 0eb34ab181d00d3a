"""Momentum schedules against the formulas of the methods, and the average against libraries."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from timm.layers import DropPath
from timm.utils import ModelEmaV2
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmark.method import Progress
from benchmark.nn.ema import (
    CosineMomentum,
    EpochLinearMomentum,
    ExponentialMovingAverage,
    LinearMomentum,
)

EPOCHS, STEPS = 7, 5


def every_step() -> list[Progress]:
    return [
        Progress(epoch=step // STEPS, epochs=EPOCHS, step=step, steps_per_epoch=STEPS)
        for step in range(EPOCHS * STEPS)
    ]


def constant(value: float) -> LinearMomentum:
    return LinearMomentum(value, value)


def student() -> nn.Module:
    """Weights of several shapes, statistics of a batch norm, and a frozen parameter."""
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4))
    module[3].bias.requires_grad_(False)
    return module


def shake(module: nn.Module, seed: int) -> nn.Module:
    """Move everything, as a step of training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.randn(tensor.shape, generator=generator))
            else:
                tensor.add_(1)
    return module


def test_linear_schedule_matches_ijepa() -> None:
    """Value i of a run of T steps is start + i · (end − start) / T."""
    expected = [0.996 + i * (1.0 - 0.996) / (EPOCHS * STEPS) for i in range(EPOCHS * STEPS)]
    assert [LinearMomentum(0.996, 1.0)(p) for p in every_step()] == pytest.approx(expected)
    longer = [0.996 + i * 0.004 / (EPOCHS * STEPS * 1.25) for i in range(EPOCHS * STEPS)]
    stretched = LinearMomentum(0.996, 1.0, stretch=1.25)
    assert [stretched(p) for p in every_step()] == pytest.approx(longer, abs=1e-12)
    assert LinearMomentum(0.996, 1.0, stretch=0.5)(every_step()[-1]) == 1.0


def test_cosine_schedule_matches_dino_and_moco() -> None:
    """DINO: end + (start − end)(1 + cos πi/T)/2; MoCo v3: 1 − (1 − 0.99)(1 + cos πt)/2."""
    place = np.arange(EPOCHS * STEPS)
    dino = 1.0 + 0.5 * (0.996 - 1.0) * (1 + np.cos(np.pi * place / len(place)))
    assert [CosineMomentum(0.996)(p) for p in every_step()] == pytest.approx(dino.tolist())
    moco = [
        1.0 - (1.0 - 0.99) * 0.5 * (1.0 + math.cos(math.pi * (epoch + step / STEPS) / EPOCHS))
        for epoch in range(EPOCHS)
        for step in range(STEPS)
    ]
    assert [CosineMomentum(0.99)(p) for p in every_step()] == pytest.approx(moco, abs=1e-12)


def test_epoch_schedule_matches_hpm() -> None:
    """By epoch, over the first 100 epochs, whatever the length of the run."""
    momentum = EpochLinearMomentum(0.999, 0.9999, epochs=100)
    for epochs in (200, 800):
        found = [momentum(Progress(epoch=e, epochs=epochs, step=9)) for e in (0, 1, 50, 100, 199)]
        assert found == pytest.approx([0.999, 0.999009, 0.99945, 0.9999, 0.9999], abs=1e-12)


def test_update_matches_the_formula() -> None:
    followed = student()
    ema = ExponentialMovingAverage(followed, dict(type=CosineMomentum, start=0.5))
    expected = {name: p.detach().double().numpy() for name, p in followed.named_parameters()}
    for progress in every_step()[::5]:
        shake(followed, progress.step)
        m = 1 - 0.5 * (1 + math.cos(math.pi * progress.step / (EPOCHS * STEPS))) / 2
        for name, parameter in followed.named_parameters():
            value = parameter.detach().double().numpy()
            expected[name] = m * expected[name] + (1 - m) * value
        ema.update(followed, progress)
    assert [name for name, _ in ema.module.named_parameters()] == list(expected)
    for name, parameter in ema.module.named_parameters():
        np.testing.assert_allclose(parameter.numpy(), expected[name], rtol=1e-5, atol=1e-6)


def test_average_rule_agrees_with_timm_and_torch() -> None:
    followed = student()
    ema = ExponentialMovingAverage(followed, constant(0.9), buffers="average")
    timms = ModelEmaV2(followed, decay=0.9)
    torchs = AveragedModel(followed, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    torchs.update_parameters(followed)  # the first update of torch's is a copy
    for seed in range(4):
        shake(followed, seed)
        ema.update(followed, Progress())
        timms.update(followed)
        torchs.update_parameters(followed)
    for name, value in ema.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, timms.module.state_dict()[name])
            torch.testing.assert_close(value, torchs.module.state_dict()[name])
        else:
            assert torch.equal(value, followed.state_dict()[name])


@pytest.mark.parametrize("rule", ["copy", "keep", "average"])
def test_buffers(rule: str) -> None:
    followed = student()
    ema = ExponentialMovingAverage(followed, constant(0.75), buffers=rule)
    before = copy.deepcopy(ema.module)
    ema.update(shake(followed, 1), Progress())
    shares = {"copy": 0.0, "keep": 1.0, "average": 0.75}
    expected = torch.lerp(followed[1].running_mean, before[1].running_mean, shares[rule])
    torch.testing.assert_close(ema.module[1].running_mean, expected)
    assert ema.module[1].num_batches_tracked == (0 if rule == "keep" else 1)
    torch.testing.assert_close(
        ema.module[0].weight, 0.75 * before[0].weight + 0.25 * followed[0].weight
    )


def test_evaluation_mode_is_kept() -> None:
    followed = nn.Sequential(nn.Linear(4, 4), DropPath(0.9)).train()
    images = torch.randn(64, 4)
    ema = ExponentialMovingAverage(followed, constant(0.9)).train()
    assert not any(module.training for module in ema.module.modules())
    assert torch.equal(ema(images), followed[0](images))
    following = ExponentialMovingAverage(followed, constant(0.9), evaluate=False)
    assert all(module.training for module in following.train().modules())
    assert not torch.equal(following(images), followed[0](images))
    assert not any(module.training for module in following.eval().modules())
