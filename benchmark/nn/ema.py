"""Exponential moving average of a module: the teacher or target network of many methods.

θ' ← m·θ' + (1 − m)·θ after (or, in MoCo v3, before) a step, with a momentum m that is a pure
function of where training stands. So a resumed run needs the averaged weights, which are in the
state dict, and nothing else.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.registry import SCHEDULES, build


def _check_momentum(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise InputError(f"EMA: {name}={value} must lie in [0, 1]")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise InputError(f"EMA: {name}={value} must be positive")


@SCHEDULES.register_module()
class LinearMomentum:
    """Momentum that rises linearly with the steps (I-JEPA, Assran et al., CVPR 2023).

    Args:
        start: m at the first step, in [0, 1].
        end: m where the schedule ends.
        stretch: length of the schedule relative to the run; above 1 its end is never reached
            (`ipe_scale` of the I-JEPA code).
    """

    def __init__(self, start: float = 0.996, end: float = 1.0, stretch: float = 1.0) -> None:
        _check_momentum(start=start, end=end)
        _check_positive(stretch=stretch)
        self.start = start
        self.end = end
        self.stretch = stretch

    def __call__(self, progress: Progress) -> float:
        done = min(progress.fraction / self.stretch, 1.0)
        return self.start + done * (self.end - self.start)


@SCHEDULES.register_module()
class CosineMomentum:
    """Momentum that follows half a cosine over the steps (BYOL; DINO, iBOT, MoCo v3, CheXWorld).

    m = end − (end − start) · (1 + cos πt) / 2, where t is the share of the run that is done.

    Args:
        start: m at the first step, in [0, 1]: 0.996 in DINO and iBOT, 0.99 in MoCo v3.
        end: m where the schedule ends.
        stretch: length of the schedule relative to the run (1.25 in CheXWorld).
    """

    def __init__(self, start: float = 0.996, end: float = 1.0, stretch: float = 1.0) -> None:
        _check_momentum(start=start, end=end)
        _check_positive(stretch=stretch)
        self.start = start
        self.end = end
        self.stretch = stretch

    def __call__(self, progress: Progress) -> float:
        done = min(progress.fraction / self.stretch, 1.0)
        return self.end - (self.end - self.start) * (1 + math.cos(math.pi * done)) / 2


@SCHEDULES.register_module()
class EpochLinearMomentum:
    """Momentum that rises once per epoch, over a fixed number of epochs (HPM's released code).

    Args:
        start: m in the first epoch, in [0, 1].
        end: m from epoch `epochs` on, however long the run is.
        epochs: length of the rise.
    """

    def __init__(self, start: float = 0.999, end: float = 0.9999, epochs: int = 100) -> None:
        _check_momentum(start=start, end=end)
        _check_positive(epochs=epochs)
        self.start = start
        self.end = end
        self.epochs = epochs

    def __call__(self, progress: Progress) -> float:
        done = min(progress.epoch / self.epochs, 1.0)
        return self.start + done * (self.end - self.start)


class ExponentialMovingAverage(nn.Module):
    """A copy of a module that follows it slowly, without gradients.

    The copy starts equal to the module it follows and is this module's `module`; its weights are
    part of the state dict. All its parameters are averaged, the frozen ones too (where both are
    equal nothing changes). Averaging is one fused call over all tensors, on the device.

    Args:
        student: the module to follow; it is copied, not kept.
        momentum: ``momentum(progress) -> m`` or its config.
        evaluate: keep the copy in evaluation mode whatever the method is in: no drop path, no
            batch statistics (HPM, DINO, iBOT, I-JEPA). False lets it follow the method's mode
            (MoCo v3, whose momentum encoder normalises with the statistics of the batch).
        buffers: what an update does with buffers: ``"copy"`` takes them from the student,
            ``"average"`` averages those of floating point and copies the others (timm's
            `ModelEma`), ``"keep"`` leaves the copy's own (MoCo v3).

    Raises:
        InputError: `buffers` is none of these.
    """

    def __init__(
        self,
        student: nn.Module,
        momentum: Callable[[Progress], float] | dict[str, Any],
        evaluate: bool = True,
        buffers: str = "copy",
    ) -> None:
        super().__init__()
        if buffers not in ("copy", "average", "keep"):
            raise InputError(f"EMA: buffers={buffers!r} is not copy, average or keep")
        self.momentum = build(momentum)
        self.evaluate = evaluate
        self.buffer_rule = buffers
        self.module = copy.deepcopy(student).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> ExponentialMovingAverage:
        super().train(mode)
        if self.evaluate:
            self.module.eval()
        return self

    @torch.no_grad()
    def forward(self, *inputs: Any, **named: Any) -> Any:
        """What the averaged module makes of the inputs, detached."""
        return self.module(*inputs, **named)

    @torch.no_grad()
    def update(self, student: nn.Module, progress: Progress) -> None:
        """θ' ← m·θ' + (1 − m)·θ.

        Args:
            student: the module that was copied, after its step.
            progress: gives m.

        Raises:
            ValueError: `student` has other parameters than the copy.
        """
        weight = 1.0 - self.momentum(progress)
        own, other = list(self.module.parameters()), list(student.parameters())
        averaged, followed, copied, origin = self._sort_buffers(student)
        if [p.shape for p in own] != [p.shape for p in other]:
            raise ValueError("EMA: the student is not the module that was copied")
        torch._foreach_lerp_(own + averaged, other + followed, weight)
        if copied:
            torch._foreach_copy_(copied, origin)

    def _sort_buffers(
        self, student: nn.Module
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Own and student's buffers to average, then own and student's buffers to copy."""
        averaged: list[Tensor] = []
        followed: list[Tensor] = []
        copied: list[Tensor] = []
        origin: list[Tensor] = []
        if self.buffer_rule == "keep":
            return averaged, followed, copied, origin
        for own, other in zip(self.module.buffers(), student.buffers(), strict=True):
            average = self.buffer_rule == "average" and own.is_floating_point()
            (averaged if average else copied).append(own)
            (followed if average else origin).append(other)
        return averaged, followed, copied, origin
