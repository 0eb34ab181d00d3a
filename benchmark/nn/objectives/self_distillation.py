"""Self-distillation without labels: targets of the teacher, and the distance from them.

Teacher and student assign a view to prototypes; the student is to assign its view as the teacher
assigned another one. Centring keeps one prototype from taking all, sharpening keeps the assignments
from becoming uniform (DINO, Caron et al., ICCV 2021, §3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.collectives import rank_and_world_size, sum_over_processes
from benchmark.nn.precision import to_float32
from benchmark.registry import SCHEDULES

if TYPE_CHECKING:
    from benchmark.method import Progress


@SCHEDULES.register_module()
class TeacherTemperature:
    """Temperature of the teacher: rises linearly with the epochs, then stays (DINO, iBOT).

    Args:
        start: in the first epoch.
        end: in epoch `epochs` (counted from 1) and after it.
        epochs: length of the rise; 0 for none.

    Raises:
        InputError: a temperature is not positive.
    """

    def __init__(self, start: float = 0.04, end: float = 0.07, epochs: int = 50) -> None:
        for name, value in (("start", start), ("end", end)):
            if value <= 0:
                raise InputError(f"temperature: {name}={value} must be positive")
        self.start = start
        self.end = end
        self.epochs = epochs

    def __call__(self, progress: Progress) -> float:
        if progress.epoch >= self.epochs:
            return self.end
        # The first of the epochs has `start`, the last one `end`.
        return self.start + progress.epoch / max(self.epochs - 1, 1) * (self.end - self.start)


class Centre(nn.Module):
    """Moving average of the mean logits of the teacher: C ← m·C + (1 − m)·mean (DINO, equation 4).

    The mean is that of all samples of a step: of all its parts and all processes.

    Args:
        shape: of the centre, K last.
        momentum: m in [0, 1].

    Attributes:
        value: C.

    Raises:
        InputError: the momentum lies outside its range.
    """

    value: Tensor

    def __init__(self, shape: Sequence[int], momentum: float = 0.9) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise InputError(f"centre: momentum={momentum} must lie in [0, 1]")
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(*shape))
        self._sum: Tensor | None = None
        self._count = 0

    def observe(self, logits: Tensor) -> None:
        """Take the teacher's logits of a part of the batch, B×K, into the next update."""
        total = logits.detach().sum(dim=0)
        self._sum = total if self._sum is None else self._sum + total
        self._count += len(logits)

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the mean of what was observed since the last update.

        Raises:
            ValueError: nothing was.
        """
        if self._sum is None:
            raise ValueError("centre: update() without observe()")
        mean = sum_over_processes(self._sum) / (self._count * rank_and_world_size()[1])
        self.value.lerp_(mean.expand_as(self.value), 1 - self.momentum)
        self._sum, self._count = None, 0


def assignments(logits: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """The teacher's targets: softmax((logits − C) / T), …×K, without gradients."""
    return ((to_float32(logits.detach()) - centre) / temperature).softmax(dim=-1)


def cross_entropy(targets: Tensor, logits: Tensor, temperature: float) -> Tensor:
    """−Σ p log q over the last axis, …×K to …; q = softmax(logits / T)."""
    return -(targets * (to_float32(logits) / temperature).log_softmax(dim=-1)).sum(dim=-1)


def distil_across_views(
    targets: Sequence[Tensor], logits: Sequence[Tensor], temperature: float
) -> Tensor:
    """Mean cross-entropy over all pairs of a view of the teacher and another one of the student.

    Args:
        targets: the teacher's, B×K for each of its views.
        logits: the student's, B×K for each of its views; those of the teacher come first.
        temperature: the student's.
    """
    pairs = [
        cross_entropy(target, output, temperature).mean()
        for number, target in enumerate(targets)
        for other, output in enumerate(logits)
        if other != number
    ]
    return torch.stack(pairs).mean()
