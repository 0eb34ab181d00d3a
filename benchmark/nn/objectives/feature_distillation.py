"""Feature distillation between I′ and I: from a frozen encoder, or from the EMA of the model."""

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


def feature_distance(teacher: nn.Module, reconstructed: Tensor, images: Tensor) -> Tensor:
    """1 − cosine similarity of the last maps of I′ and I at each position, averaged; in [0, 2]."""
    with torch.no_grad():
        target = teacher.feature_maps(images)[-1]
    found = teacher.feature_maps(reconstructed)[-1]
    return (1 - F.cosine_similarity(found.float(), target.float(), dim=1)).mean()


@OBJECTIVES.register_module()
class FeatureDistillation(ImageObjective):
    """Match the features of a frozen encoder on I′ and I (journal table V: DINO, CLIP, DINOv3).

    Analogous to the anatomical consistency, with an encoder in place of the segmentor: gradients
    flow through it to I′, but it is not trained. The papers do not state the distance; our declared
    choice is one minus the cosine similarity between the features of a patch in I′ and in I.

    Args:
        teacher: an encoder with ``feature_maps(images)``, or its config; its last map is used.
        weight: weight of the term in the total loss.
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
        return feature_distance(self.teacher, reconstructed, images)


@OBJECTIVES.register_module()
class SelfDistillation(ImageObjective):
    """`FeatureDistillation` from the EMA of the encoder that is trained (journal table V, EMA).

    Args:
        momentum: momentum of the EMA or its config; None for a half cosine from 0.996 to 1.
        weight: weight of the term in the total loss.
    """

    name = "distillation"

    def __init__(
        self,
        momentum: Callable[[Progress], float] | dict[str, Any] | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        self.momentum = CosineMomentum() if momentum is None else build(momentum)

    def attach(self, encoder: nn.Module, views: nn.Module) -> None:
        self.teacher = ExponentialMovingAverage(encoder, self.momentum)

    def after_step(self, encoder: nn.Module, progress: Progress) -> None:
        self.teacher.update(encoder, progress)

    def compare(self, reconstructed: Tensor, images: Tensor) -> Tensor:
        # Not through the EMA's `forward`, which would pass no gradients to I′.
        return feature_distance(self.teacher.module, reconstructed, images)
