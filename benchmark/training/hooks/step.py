"""Around each step: where training stands, its rates, and what a method does after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.hooks import Hook

from benchmark.data.packs.loader import EpochBatchSampler
from benchmark.method import Progress
from benchmark.registry import HOOKS
from benchmark.training.accumulation import unwrap
from benchmark.training.distributed import watchdog


@HOOKS.register_module()
class StepHook(Hook):
    """Before a step: where training stands and its learning rate. After it: EMA etc.

    A run that resumes within an epoch asks for the rest of its batches only, and does not repeat
    what the method did before the epoch: that is in the checkpoint.

    Args:
        schedule: factor of the learning rate as a function of the fractional epoch.
    """

    priority = "VERY_HIGH"

    def __init__(self, schedule: Callable[[float], float]) -> None:
        self.schedule = schedule

    def before_train_epoch(self, runner: Any) -> None:
        watchdog.note(2 * runner.iter + 1, f"preparing epoch {runner.epoch + 1}")
        sampler = runner.train_dataloader.batch_sampler
        done = runner.iter - runner.epoch * len(runner.train_dataloader)
        if isinstance(sampler, EpochBatchSampler):
            sampler.set_epoch(runner.epoch, done)
        model = unwrap(runner.model)
        if hasattr(model, "before_epoch") and not done:
            model.before_epoch(self._progress(runner), runner.train_dataloader.dataset)

    def _progress(self, runner: Any) -> Progress:
        config, steps = runner.run.config, len(runner.train_dataloader)
        return Progress(config.seed, runner.epoch, config.epochs, runner.iter, steps)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        watchdog.note(2 * runner.iter + 2, f"in step {runner.iter + 1}")
        progress = self._progress(runner)
        unwrap(runner.model).progress = progress
        factor = self.schedule(progress.step / progress.steps_per_epoch)
        for group in runner.optim_wrapper.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        model = unwrap(runner.model)
        if hasattr(model, "after_step"):
            model.after_step(model.progress)


@HOOKS.register_module()
class WeightDecayHook(Hook):
    """Before a step: the weight decay of every parameter group. Groups without any keep none.

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
