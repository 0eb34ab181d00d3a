"""Self-distillation with no labels: the teacher's targets and the student's loss.

The student matches the teacher's soft assignment of another view to the prototypes. Centring
prevents one prototype from dominating, sharpening prevents collapse to the uniform distribution
(DINO, Caron et al., ICCV 2021, §3.1).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

from benchmark.method import Progress
from benchmark.nn.precision import to_float32
from benchmark.registry import SCHEDULES
from benchmark.type_hints import Natural, Positive, Rate


@SCHEDULES.register_module()
class TeacherTemperature:
    """Temperature of the teacher: a linear warm-up over the epochs, then constant (DINO, iBOT).

    Args:
        start: temperature in the first epoch.
        end: temperature from epoch `epochs` on, counted from 1.
        epochs: length of the warm-up; 0 for none.
    """

    def __init__(self, start: Positive = 0.04, end: Positive = 0.07, epochs: Natural = 50) -> None:
        self.start = start
        self.end = end
        self.epochs = epochs

    def __call__(self, progress: Progress) -> float:
        if progress.epoch >= self.epochs:
            return self.end
        # `start` in the first epoch, `end` in the last one of the warm-up.
        return self.start + progress.epoch / max(self.epochs - 1, 1) * (self.end - self.start)


class Centre(nn.Module):
    """Moving average of the teacher's mean logits: C ← m·C + (1 − m)·mean (DINO, equation 4).

    The mean is over all samples of a step, across its micro-batches and processes.

    Args:
        shape: shape of the centre, K last.
        momentum: m.

    Attributes:
        value: C.
    """

    value: Tensor

    def __init__(self, shape: Sequence[int], momentum: Rate = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(*shape))
        self._sum: Tensor | None = None
        self._count = 0

    def observe(self, logits: Tensor) -> None:
        """Accumulate the teacher's logits of a micro-batch, B×K, for the next update."""
        total = logits.detach().sum(dim=0)
        self._sum = total if self._sum is None else self._sum + total
        self._count += len(logits)

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the mean of the logits observed since the last update."""
        all_reduce(self._sum)
        mean = self._sum / (self._count * get_world_size())
        self.value.lerp_(mean.expand_as(self.value), 1 - self.momentum)
        self._sum, self._count = None, 0


def teacher_targets(logits: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """Centred and sharpened targets softmax((logits − C) / T), …×K, detached."""
    return ((to_float32(logits.detach()) - centre) / temperature).softmax(dim=-1)


def cross_entropy(targets: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """−Σ p log q over the last dimension, …×K to …, with q = softmax(logits / T)."""
    return -(targets * (to_float32(logits) / temperature).log_softmax(dim=-1)).sum(dim=-1)


def distil_across_views(
    targets: Sequence[Tensor], logits: Sequence[Tensor], temperature: float
) -> Tensor:
    """Mean cross-entropy over all pairs of a teacher view and a different student view.

    Args:
        targets: targets of the teacher, B×K per view.
        logits: logits of the student, B×K per view; the teacher's views come first.
        temperature: temperature of the student.
    """
    pairs = [
        cross_entropy(target, output, temperature).mean()
        for teacher_view, target in enumerate(targets)
        for student_view, output in enumerate(logits)
        if student_view != teacher_view
    ]
    return torch.stack(pairs).mean()
