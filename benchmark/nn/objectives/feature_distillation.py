"""Objectives that compare I′ and I by the features of another encoder, or of the own average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.method import Progress
from benchmark.nn.ema import CosineMomentum, ExponentialMovingAverage
from benchmark.nn.objectives.base import ImageObjective
from benchmark.registry import OBJECTIVES, build


def feature_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """1 − cosine of the features at each position, averaged; B×D×h×w each, result in [0, 2]."""
    return (1 - F.cosine_similarity(ours.float(), theirs.float(), dim=1)).mean()


@OBJECTIVES.register_module()
class FeatureDistillation(ImageObjective):
    """A frozen encoder sees the same in I′ as in I (journal table V: DINO, CLIP, DINOv3).

    As in the anatomical consistency, with an encoder in the place of the segmentor: gradients pass
    through it to I′ and never into it. The papers do not name the distance; here it is one minus
    the cosine between the features of a patch in I′ and in I, a declared choice.

    Args:
        teacher: an encoder with ``feature_maps(images)``, or its config; the last of its maps is
            compared.
        weight: factor of the term in the total.
    """

    name = "distillation"

    def __init__(self, teacher: nn.Module | dict[str, Any], weight: float = 1.0) -> None:
        super().__init__(weight)
        self.teacher = build(teacher).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> FeatureDistillation:
        super().train(mode)
        self.teacher.eval()
        return self

    def compare(self, reconstructed: Tensor, images: Tensor) -> Tensor:
        with torch.no_grad():
            expected = self.teacher.feature_maps(images)[-1]
        return feature_distance(self.teacher.feature_maps(reconstructed)[-1], expected)


@OBJECTIVES.register_module()
class SelfDistillation(ImageObjective):
    """The moving average of the encoder itself sees the same in I′ as in I (journal table V, EMA).

    As `FeatureDistillation`, with a teacher that follows the encoder that is trained.

    Args:
        momentum: momentum of the average or its config; None: half a cosine from 0.996 to 1.
        weight: factor of the term in the total.
    """

    name = "distillation"

    def __init__(
        self,
        momentum: Callable[[Progress], float] | dict[str, Any] | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        self.momentum = CosineMomentum() if momentum is None else build(momentum)

    def attach(self, encoder: nn.Module) -> None:
        self.teacher = ExponentialMovingAverage(encoder, self.momentum)

    def after_step(self, encoder: nn.Module, progress: Progress) -> None:
        self.teacher.update(encoder, progress)

    def compare(self, reconstructed: Tensor, images: Tensor) -> Tensor:
        # The averaged module itself, because a call of the average passes no gradients to I′.
        teacher = self.teacher.module
        with torch.no_grad():
            expected = teacher.feature_maps(images)[-1]
        return feature_distance(teacher.feature_maps(reconstructed)[-1], expected)
