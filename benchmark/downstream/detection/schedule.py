"""The learning-rate schedule of detection: steps down, after a warm-up counted in steps."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.registry import SCHEDULES
from benchmark.type_hints import Natural


@SCHEDULES.register_module()
class MultiStep:
    """×`gamma` at each milestone, with a linear warm-up (ViTDet, authors' configuration).

    Their milestones are iterations 163,889 and 177,546 of 184,375: 8/9 and 26/27 of the run.

    Args:
        epochs: length of the run.
        steps_per_epoch: steps of an epoch.
        milestones: where the rate falls, as fractions of the run.
        gamma: factor of each fall.
        warmup_steps: length of the warm-up.
        warmup_factor: factor at its first step.
    """

    def __init__(
        self,
        epochs: int,
        steps_per_epoch: int,
        milestones: Sequence[float] = (8 / 9, 26 / 27),
        gamma: float = 0.1,
        warmup_steps: Natural = 250,
        warmup_factor: float = 0.001,
    ) -> None:
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.milestones = tuple(milestones)
        self.gamma = gamma
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, epoch: float) -> float:
        step = epoch * self.steps_per_epoch
        done = min(step / self.warmup_steps, 1.0) if self.warmup_steps else 1.0
        warmup = self.warmup_factor + (1 - self.warmup_factor) * done
        falls = sum(epoch >= milestone * self.epochs for milestone in self.milestones)
        return warmup * self.gamma**falls
