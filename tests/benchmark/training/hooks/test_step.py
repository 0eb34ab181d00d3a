"""What a method is told before an epoch, and which weight files make a run another run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from benchmark.data.packs.loader import EpochBatchSampler
from benchmark.method import Progress
from benchmark.training.hooks import StepHook, WeightDecayHook
from benchmark.training.optim import build_optimizer
from benchmark.training.schedules import CosineRamp

RUN = SimpleNamespace(config=SimpleNamespace(seed=5, epochs=9))


class Listener(nn.Module):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Progress, Any]] = []

    def before_epoch(self, progress: Progress, frames: Any) -> None:
        self.told.append((progress, frames))


class Loader:
    dataset = "the frames"
    batch_sampler = None

    def __len__(self) -> int:
        return 7


def test_methods_hear_of_an_epoch_with_the_frames():
    """Epoch, step and length are those of the step that follows; other models are left alone."""
    hook = StepHook(schedule=lambda epoch: 1.0)
    model = Listener()
    runner = SimpleNamespace(run=RUN, model=model, train_dataloader=Loader(), epoch=3, iter=21)
    hook.before_train_epoch(runner)
    assert model.told == [(Progress(5, 3, 9, 21, 7), "the frames")]

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    optimizer.param_groups[0]["peak_lr"] = 1.0
    runner.optim_wrapper = SimpleNamespace(optimizer=optimizer)
    hook.before_train_iter(runner, 0)
    assert model.progress == model.told[0][0]
    runner.model = nn.Linear(1, 1)
    hook.before_train_epoch(runner)


def test_a_resumed_epoch_has_begun_already():
    """The sampler gives what is left of it, and the method does not hear of its begin again."""
    hook = StepHook(schedule=lambda epoch: 1.0)
    loader = Loader()
    loader.batch_sampler = EpochBatchSampler(length=14, batch_size=2, seed=5)
    model = Listener()
    runner = SimpleNamespace(run=RUN, model=model, train_dataloader=loader, epoch=3, iter=21)
    hook.before_train_epoch(runner)
    whole = list(loader.batch_sampler)
    runner.iter = 25
    hook.before_train_epoch(runner)
    assert list(loader.batch_sampler) == whole[4:]
    assert len(loader.batch_sampler) == 7
    assert len(model.told) == 1
    runner.epoch, runner.iter = 4, 28
    hook.before_train_epoch(runner)
    assert len(list(loader.batch_sampler)) == 7


def test_hook_sets_the_decay_of_the_groups_that_have_one():
    """At every step from the first value, not from the last; also after a reload."""
    layer = nn.Linear(3, 2)
    wrapper = build_optimizer(layer, dict(type=torch.optim.AdamW, weight_decay=0.04), lr=0.1)
    hook = WeightDecayHook(CosineRamp(epochs=2, end=10))
    runner = SimpleNamespace(iter=0, train_dataloader=range(4), optim_wrapper=wrapper)

    def decays(step: int) -> list[float]:
        runner.iter = step
        hook.before_train_iter(runner, 0)
        return sorted(group["weight_decay"] for group in wrapper.optimizer.param_groups)

    assert decays(0) == pytest.approx([0, 0.04])
    assert decays(4) == pytest.approx([0, 0.22])
    assert decays(8) == pytest.approx([0, 0.4])
    wrapper.optimizer.load_state_dict(wrapper.optimizer.state_dict())
    assert decays(4) == pytest.approx([0, 0.22])
