"""Learning-rate schedules as pure functions of progress: nothing to store, nothing to resume.

A schedule is called as ``schedule(epoch) -> factor`` with the fractional epoch at the start of the
step, and multiplies the learning rate of every parameter group.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

from benchmark.registry import SCHEDULES, build

Schedule = Callable[[float], float]
"""Factor as a function of the fractional epoch."""


def build_schedule(spec: dict[str, Any], epochs: int, steps_per_epoch: int) -> Schedule:
    """Build a schedule from its config; one that counts in steps gets their number."""
    known = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    kind = spec.get("type")
    taken = inspect.signature(kind).parameters if callable(kind) else {}
    return build(spec, **{name: value for name, value in known.items() if name in taken})


@SCHEDULES.register_module()
class WarmupCosine:
    """Linear warm-up from 0, then half a cosine down to `min_factor` (MAE, official code).

    Args:
        epochs: length of the run.
        warmup_epochs: length of the warm-up.
        min_factor: final learning rate relative to the peak.
    """

    def __init__(self, epochs: int, warmup_epochs: float = 0, min_factor: float = 0.0) -> None:
        self.epochs = epochs
        self.warmup_epochs = warmup_epochs
        self.min_factor = min_factor

    def __call__(self, epoch: float) -> float:
        if epoch < self.warmup_epochs:
            return epoch / self.warmup_epochs
        done = (epoch - self.warmup_epochs) / max(self.epochs - self.warmup_epochs, 1e-9)
        return self.min_factor + (1 - self.min_factor) * 0.5 * (1 + math.cos(math.pi * done))


@SCHEDULES.register_module()
class WarmupMultiStep:
    """Linear warm-up, then ×`gamma` at each milestone (SimMIM, official code).

    Args:
        epochs: length of the run.
        milestones: where the rate falls, as fractions of the run.
        gamma: factor of each fall.
        warmup_epochs: length of the warm-up.
        warmup_factor: factor at its start.
    """

    def __init__(
        self,
        epochs: int,
        milestones: Sequence[float],
        gamma: float = 0.1,
        warmup_epochs: float = 0,
        warmup_factor: float = 0.0,
    ) -> None:
        self.milestones = tuple(milestone * epochs for milestone in milestones)
        self.gamma = gamma
        self.warmup_epochs = warmup_epochs
        self.warmup_factor = warmup_factor

    def __call__(self, epoch: float) -> float:
        if epoch < self.warmup_epochs:
            done = epoch / self.warmup_epochs
            return self.warmup_factor + done * (1 - self.warmup_factor)
        return self.gamma ** sum(epoch >= milestone for milestone in self.milestones)


@SCHEDULES.register_module()
class CosinePerEpoch:
    """Half a cosine from 1 to 0, T_max = epochs, changed once per epoch (VasoMIM, fine-tuning)."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def __call__(self, epoch: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * math.floor(epoch) / self.epochs))


@SCHEDULES.register_module()
class PolynomialPerEpoch:
    """(1 − e/E)^power, changed once per epoch (the segmentor of XA-SSL's code)."""

    def __init__(self, epochs: int, power: float = 0.9) -> None:
        self.epochs = epochs
        self.power = power

    def __call__(self, epoch: float) -> float:
        return (1 - math.floor(epoch) / self.epochs) ** self.power


@SCHEDULES.register_module()
class StretchedWarmupCosine(WarmupCosine):
    """`WarmupCosine` that starts above 0 and may be longer than the run (I-JEPA, CheXWorld).

    Args:
        epochs: length of the run.
        warmup_epochs: length of the warm-up.
        min_factor: factor at the end of the schedule.
        start_factor: factor at its start.
        stretch: length of the schedule relative to the run; above 1 its end is never reached
            (`ipe_scale` of the official codes).
    """

    def __init__(
        self,
        epochs: int,
        warmup_epochs: float = 0,
        min_factor: float = 0.0,
        start_factor: float = 0.0,
        stretch: float = 1.0,
    ) -> None:
        super().__init__(epochs * stretch, warmup_epochs, min_factor)
        self.start_factor = start_factor

    def __call__(self, epoch: float) -> float:
        factor = super().__call__(epoch)
        if epoch < self.warmup_epochs:
            return self.start_factor + (1 - self.start_factor) * factor
        return factor


@SCHEDULES.register_module()
class CosineRamp:
    """A factor that goes from 1 to `end` along half a cosine (weight decay of DINO, iBOT, I-JEPA).

    end − (end − 1) · (1 + cos πt) / 2, where t is the share of the run that is done.

    Args:
        epochs: length of the run.
        end: factor at its end.
    """

    def __init__(self, epochs: int, end: float) -> None:
        self.epochs = epochs
        self.end = end

    def __call__(self, epoch: float) -> float:
        return self.end - (self.end - 1) * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
