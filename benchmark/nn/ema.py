"""Exponential moving average (EMA) of a module: the teacher or target network of many methods.

θ' ← m·θ' + (1 − m)·θ after (or, in MoCo v3, before) a step. The momentum m is a pure function of
the training progress, so a resumed run needs only the averaged weights from the state dict.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmark.method import Progress
from benchmark.registry import SCHEDULES, build
from benchmark.type_hints import Count, Positive, Rate


@SCHEDULES.register_module()
class LinearMomentum:
    """Momentum that increases linearly with the step (I-JEPA, Assran et al., CVPR 2023).

    Args:
        start: m at the first step.
        end: m at the end of the schedule.
        stretch: length of the schedule relative to the run; above 1, `end` is never reached
            (`ipe_scale` of the I-JEPA code).
    """

    def __init__(self, start: Rate = 0.996, end: Rate = 1.0, stretch: Positive = 1.0) -> None:
        self.start = start
        self.end = end
        self.stretch = stretch

    def __call__(self, progress: Progress) -> float:
        return self.start + self._fraction(progress) * (self.end - self.start)

    def _fraction(self, progress: Progress) -> float:
        """Fraction of the schedule that is done, in [0, 1]."""
        return min(progress.fraction / self.stretch, 1.0)


@SCHEDULES.register_module()
class CosineMomentum(LinearMomentum):
    """Momentum on a half cosine over the steps (BYOL; DINO, iBOT, MoCo v3, CheXWorld).

    m = end − (end − start) · (1 + cos πt) / 2, where t is the fraction of the schedule done. DINO
    and iBOT start at 0.996, MoCo v3 at 0.99; CheXWorld stretches the schedule by 1.25.

    The arguments are those of `LinearMomentum`.
    """

    def __call__(self, progress: Progress) -> float:
        angle = math.pi * self._fraction(progress)
        return self.end - (self.end - self.start) * (1 + math.cos(angle)) / 2


@SCHEDULES.register_module()
class EpochLinearMomentum:
    """Momentum that increases once per epoch, over a fixed number of epochs (HPM's released code).

    Args:
        start: m in the first epoch.
        end: m from epoch `epochs` on, however long the run is.
        epochs: epochs from `start` to `end`.
    """

    def __init__(self, start: Rate = 0.999, end: Rate = 0.9999, epochs: Count = 100) -> None:
        self.start = start
        self.end = end
        self.epochs = epochs

    def __call__(self, progress: Progress) -> float:
        done = min(progress.epoch / self.epochs, 1.0)
        return self.start + done * (self.end - self.start)


class ExponentialMovingAverage(nn.Module):
    """A moving average of a student module, without gradients.

    The copy, `module`, starts equal to the student and is part of the state dict. An update is one
    fused call over all parameters on the device.

    Args:
        student: the module to average; it is copied, not kept.
        momentum: ``momentum(progress) -> m`` or its config.
        evaluate: keep the copy in evaluation mode at all times: no drop path, no batch statistics
            (HPM, DINO, iBOT, I-JEPA). If False it follows the mode of the method (MoCo v3, whose
            momentum encoder normalises with batch statistics).
        buffers: what an update does with buffers: ``"copy"`` copies the student's, ``"average"``
            averages floating-point ones and copies the rest (timm's `ModelEma`), ``"keep"`` keeps
            the copy's own (MoCo v3).
    """

    def __init__(
        self,
        student: nn.Module,
        momentum: Callable[[Progress], float] | dict[str, Any],
        evaluate: bool = True,
        buffers: Literal["copy", "average", "keep"] = "copy",
    ) -> None:
        super().__init__()
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
        """Output of the averaged module, detached."""
        return self.module(*inputs, **named)

    @torch.no_grad()
    def update(self, student: nn.Module, progress: Progress) -> None:
        """θ' ← m·θ' + (1 − m)·θ, where θ are the parameters of the student after its step."""
        weight = 1.0 - self.momentum(progress)
        averaged = list(zip(self.module.parameters(), student.parameters(), strict=True))
        copied: list[tuple[Tensor, Tensor]] = []
        if self.buffer_rule != "keep":
            for pair in zip(self.module.buffers(), student.buffers(), strict=True):
                average = self.buffer_rule == "average" and pair[0].is_floating_point()
                (averaged if average else copied).append(pair)
        torch._foreach_lerp_(*map(list, zip(*averaged)), weight)
        if copied:
            torch._foreach_copy_(*map(list, zip(*copied)))
