"""CheXWorld: Image World Modeling for Radiograph Representation Learning (Yue et al., CVPR 2025).

A joint-embedding predictive architecture that learns three things about radiographs with one
predictor. *Local anatomy*: from a context, the features of hidden patches of the same view.
*Global layout*: the features of patches in another part of the image, given where it lies.
*Domain variation*: the view of the context has other grey values than the view of the targets, and
the predictor is told how they were changed. L = (L_intra + L_extra) / 2.

What differs from LeapLabTHU/CheXWorld: the two views have masks of their own, of equal length for
all images by another rule than the smallest of the batch (`benchmark.nn.masking.jepa`); grey values
are not rounded between two changes.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from benchmark.method import Progress
from benchmark.nn.decoders.feature_predictors import WorldPredictor, select
from benchmark.nn.masking.jepa import MergedBlockMasking
from benchmark.registry import METHODS
from methods.ijepa import IJEPA
from methods.ijepa import official_keys as official_keys  # of the key `model`
from methods.mae import Part


@METHODS.register_module()
class CheXWorld(IJEPA):
    """World model of radiographs. The target encoder is exported.

    Args:
        views: maker of two views per frame, each clean and changed, of their relative places and of
            the parameters of their changes (`WorldViews`).
        encoder: ViT without a CLS token.
        predictor: `WorldPredictor`. The switch to the released code's order of axes is its
            ``official_code``.
        masking: `MergedBlockMasking`: context and union of targets of either view. The switch to
            the released code's way of cutting masks is its ``official_code``.
        momentum: of the target encoder, ``momentum(progress) -> m``.
        distance: as in `IJEPA`.
        intra_weight: weight of the predictions within a view.
        extra_weight: weight of the predictions of the other view.
    """

    predictor: WorldPredictor
    masking: MergedBlockMasking

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
        encoder: Part,
        predictor: Part,
        masking: Part,
        momentum: Any,
        distance: str = "squared",
        intra_weight: float = 0.5,
        extra_weight: float = 0.5,
    ) -> None:
        super().__init__(views, encoder, predictor, masking, momentum, distance)
        self.intra_weight = intra_weight
        self.extra_weight = extra_weight

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        # Both views in one batch, view by view.
        def both(name: str) -> Tensor:
            return torch.cat([views[f"{name}_0"], views[f"{name}_1"]])

        masks = [self.masking(views, progress, view) for view in range(2)]
        seen = torch.cat([mask.context for mask in masks])
        hidden = torch.cat([mask.targets[:, 0] for mask in masks])
        targets = select(self.targets(both("image")), hidden)
        context, change = self.encoder(both("changed"), seen), both("change")

        here = change.new_zeros(len(change), 4)
        intra = self.predictor(context, seen, hidden, change, here)
        # From view 0 to view 1, which lies at `place_01`, and back.
        there = torch.cat([views["place_01"], views["place_10"]])
        extra = self.predictor(context, seen, swapped(hidden), change, there)
        return {
            "loss_intra": self.intra_weight * self.distance(intra, targets),
            "loss_extra": self.extra_weight * self.distance(extra, swapped(targets)),
        }


def swapped(rows: Tensor) -> Tensor:
    """The second half of a batch before the first: what belongs to the other view."""
    return torch.cat(rows.chunk(2)[::-1])
