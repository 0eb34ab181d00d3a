"""CheXWorld: Image World Modeling for Radiograph Representation Learning (Yue et al., CVPR 2025).

A joint-embedding predictive architecture that models three aspects of radiographs with one
predictor. *Local anatomy*: predict features of masked patches from a context in the same view.
*Global layout*: predict features in another crop of the image, given its relative position.
*Domain variation*: the intensities of the context view are augmented, those of the target view are
not, and the predictor is conditioned on the augmentation. L = (L_intra + L_extra) / 2.

Differences from LeapLabTHU/CheXWorld: the two views have independent masks, cut to equal length by
another rule than the smallest of the batch (`benchmark.nn.masking.jepa`); intensities are not
rounded between two augmentations.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from benchmark.method import Progress
from benchmark.nn.decoders.feature_predictors import WorldPredictor
from benchmark.nn.masking.jepa import MergedBlockMasking
from benchmark.nn.tokens import gather_tokens
from benchmark.registry import METHODS
from methods.ijepa import IJEPA
from methods.mae import Part


@METHODS.register_module()
class CheXWorld(IJEPA):
    """World model of radiographs; the target encoder is exported.

    State-dict names of the official checkpoint (key `model`) follow `methods.ijepa.OFFICIAL_NAMES`.

    Args:
        views: `WorldViews`: two views per frame, clean and augmented, their relative positions and
            augmentation parameters.
        encoder: ViT without a CLS token.
        predictor: `WorldPredictor`; its ``official_code`` uses the released code's order of axes.
        masking: `MergedBlockMasking`: context and union of targets of each view; its
            ``official_code`` truncates masks as the released code does.
        momentum: momentum of the target encoder, ``momentum(progress) -> m``.
        distance: as in `IJEPA`.
        intra_weight: weight of the predictions within a view.
        extra_weight: weight of the predictions of the other view.
    """

    predictor: WorldPredictor
    masking: MergedBlockMasking

    def __init__(
        self,
        views: Part,
        encoder: Part,
        predictor: Part,
        masking: Part,
        momentum: Any,
        distance: Literal["smooth_l1", "squared"] = "squared",
        intra_weight: float = 0.5,
        extra_weight: float = 0.5,
    ) -> None:
        super().__init__(views, encoder, predictor, masking, momentum, distance)
        self.intra_weight = intra_weight
        self.extra_weight = extra_weight

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        def both(name: str) -> Tensor:  # views as one batch, view by view
            return torch.cat([views[f"{name}_0"], views[f"{name}_1"]])

        masks = [self.masking(views, progress, view) for view in range(2)]
        context_ids = torch.cat([mask.context for mask in masks])
        target_ids = torch.cat([mask.targets[:, 0] for mask in masks])
        targets = gather_tokens(self.targets(both("image")), target_ids)
        context, augmentation = self.encoder(both("changed"), context_ids), both("change")

        same_view = augmentation.new_zeros(len(augmentation), 4)
        intra = self.predictor(context, context_ids, target_ids, augmentation, same_view)
        # From view 0 to view 1, and back.
        other_view = torch.cat([views["place_01"], views["place_10"]])
        extra = self.predictor(
            context, context_ids, swap_views(target_ids), augmentation, other_view
        )
        return {
            "loss_intra": self.intra_weight * self.distance(intra, targets),
            "loss_extra": self.extra_weight * self.distance(extra, swap_views(targets)),
        }


def swap_views(batch: Tensor) -> Tensor:
    """Swap the halves of a batch that holds both views."""
    return torch.cat(batch.chunk(2)[::-1])
