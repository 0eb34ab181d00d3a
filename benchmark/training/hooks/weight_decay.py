"""Weight decay that changes in the course of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook

from benchmark.registry import HOOKS


@HOOKS.register_module()
class WeightDecayHook(Hook):
    """Before a step: the weight decay of every parameter group. Groups without any stay so.

    Args:
        schedule: factor of the weight decay as a function of the fractional epoch.
    """

    priority = "HIGH"

    def __init__(self, schedule: Callable[[float], float]) -> None:
        self.schedule = schedule

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        factor = self.schedule(runner.iter / len(runner.train_dataloader))
        for group in runner.optim_wrapper.optimizer.param_groups:
            group["weight_decay"] = group["first_weight_decay"] * factor
