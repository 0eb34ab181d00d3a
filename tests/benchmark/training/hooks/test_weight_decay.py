"""Weight decay over a run: the schedule of DINO, the groups it is for, and who is spared."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.errors import InputError
from benchmark.training.hooks import WeightDecayHook
from benchmark.training.optim import build_optimizer, parameter_groups
from benchmark.training.schedules import CosineRamp


def test_ramp_is_that_of_dino() -> None:
    """end + ½(start − end)(1 + cos πi/n) at step i of n."""
    steps, per_epoch = 60, 12
    i = np.arange(steps)
    expected = 0.4 + 0.5 * (0.04 - 0.4) * (1 + np.cos(np.pi * i / steps))
    ramp = CosineRamp(epochs=5, end=10)
    assert [0.04 * ramp(step / per_epoch) for step in i] == pytest.approx(expected.tolist())
    assert ramp(5) == pytest.approx(10)


def test_hook_sets_the_decay_of_the_groups_that_have_one() -> None:
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


def test_biases_decay_only_where_they_are_asked_to() -> None:
    """One group with all parameters, as MoCo v3 trains; two otherwise."""
    layers = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    groups = parameter_groups(layers, 0.1, decay_biases=True)
    assert [group["weight_decay"] for group in groups] == [0.1]
    assert groups[0]["names"] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    spared = parameter_groups(layers, 0.1)
    assert {group["weight_decay"]: group["names"] for group in spared} == {
        0.1: ["0.weight"],
        0.0: ["0.bias", "1.weight", "1.bias"],
    }


def test_parameters_named_in_the_config_do_not_decay() -> None:
    """Positions and CLS token of SimMIM; a name of nothing is an error."""
    layers = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    groups = parameter_groups(layers, 0.1, undecayed=("1.weight",))
    assert {group["weight_decay"]: group["names"] for group in groups} == {
        0.1: ["0.weight"],
        0.0: ["0.bias", "1.weight", "1.bias"],
    }
    with pytest.raises(InputError, match=r"undecayed: 2\.weight is not a trained parameter"):
        parameter_groups(layers, 0.1, undecayed=("1.weight", "2.weight"))
