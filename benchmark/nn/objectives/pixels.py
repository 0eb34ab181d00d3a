"""Pixel reconstruction (MAE, SimMIM), optionally weighted by vascular anatomy (VasoMIM)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from benchmark.method import Progress
from benchmark.nn.masking.anatomy import patch_weights, vascular_guidance
from benchmark.nn.objectives.base import Objective, Reconstruction, masked_mean
from benchmark.nn.patches import patchify, unpatchify
from benchmark.registry import OBJECTIVES
from benchmark.type_hints import Rate


@OBJECTIVES.register_module()
class PixelReconstruction(Objective):
    """Reconstruct the pixels of the masked patches (MAE, CVPR 2022, §3; SimMIM, CVPR 2022).

    Args:
        normalise: normalise targets per patch (`norm_pix_loss` of the MAE code).
        distance: ``"l2"``, the squared error (MAE), or ``"l1"``, the absolute one (SimMIM).
        weight: weight of the term in the total loss.
    """

    def __init__(
        self, normalise: bool = True, distance: Literal["l1", "l2"] = "l2", weight: float = 1.0
    ) -> None:
        super().__init__(weight)
        self.normalise = normalise
        self.distance = distance

    def errors(self, reconstruction: Reconstruction, images: Tensor) -> Tensor:
        """Mean error of each patch, B×N."""
        if self.normalise:
            target, _, _ = reconstruction.standardised(images)
        else:
            target = patchify(images, reconstruction.patch_size)
        difference = reconstruction.prediction.float() - target
        distance = difference.square() if self.distance == "l2" else difference.abs()
        return distance.mean(dim=-1)

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        return masked_mean(self.errors(reconstruction, views["image"]), reconstruction.mask.mask)

    def image(self, reconstruction: Reconstruction, images: Tensor) -> Tensor:
        """I′: the prediction of all patches as an image, B×C×H×W (VasoMIM).

        Per-patch normalisation is inverted with the true mean and standard deviation of each patch.
        """
        patches = reconstruction.prediction.float()
        if self.normalise:
            _, mean, std = reconstruction.standardised(images)
            patches = torch.addcmul(mean, patches, std)
        return unpatchify(patches, reconstruction.patch_size, reconstruction.grid_size)


@OBJECTIVES.register_module()
class AnatomyWeightedReconstruction(PixelReconstruction):
    """L_rec + L_w-rec of VasoMIM (AAAI table S5): pixels, and again weighted by the guidance.

    L_w-rec is a weighted mean of the errors over the masked patches of a batch, with weights
    f(g_i), the fraction of its frame's guidance in each patch; frames without guidance have no
    weight. L_rec is the plain mean, as in `PixelReconstruction`; both are of the same prediction.

    Args:
        eta: η of the guidance G = η·B + (1 − η)·M, as in `AnatomyGuidedMasking`.
        plain: weight of L_rec beside L_w-rec: 1 is the total of the paper, 0 is L_w-rec alone.
        normalise, distance, weight: as in `PixelReconstruction`.
    """

    def __init__(
        self,
        eta: Rate = 0.5,
        plain: Rate = 1.0,
        normalise: bool = True,
        distance: Literal["l1", "l2"] = "l2",
        weight: float = 1.0,
    ) -> None:
        super().__init__(normalise, distance, weight)
        self.eta = eta
        self.plain = plain

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        mask = reconstruction.mask.mask
        guidance = vascular_guidance(views, self.eta)
        weights = patch_weights(guidance, reconstruction.patch_size) * mask
        errors = self.errors(reconstruction, views["image"])
        weighted = (errors * weights).sum() / weights.sum().clamp_min(1e-12)
        return self.plain * masked_mean(errors, mask) + weighted
