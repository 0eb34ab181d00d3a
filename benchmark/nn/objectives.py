"""What a reconstruction is compared with.

An objective is called as ``objective(reconstruction, views, progress) -> Tensor`` (a scalar).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.losses import dice_loss
from benchmark.nn.masking import Mask
from benchmark.nn.patches import patch_statistics, patchify, unpatchify


@dataclass(frozen=True)
class Reconstruction:
    """What a masked image model predicts.

    Attributes:
        prediction: B×N×(P·P·C), every patch, in the space of the pixel objective.
        mask: the masked patches.
        patch_size: P.
        grid_size: rows and columns of patches.
    """

    prediction: Tensor
    mask: Mask
    patch_size: int
    grid_size: tuple[int, int]


class PixelReconstruction(nn.Module):
    """Mean squared error on the masked patches (MAE, He et al., CVPR 2022, §3).

    Args:
        normalise: targets are normalised per patch (`norm_pix_loss` of the MAE code).
    """

    def __init__(self, normalise: bool = True) -> None:
        super().__init__()
        self.normalise = normalise

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        target = patchify(views["image"], reconstruction.patch_size)
        if self.normalise:
            mean, std = patch_statistics(target)
            target = (target - mean) / std
        error = (reconstruction.prediction.float() - target).square().mean(dim=-1)
        mask = reconstruction.mask.mask
        return (error * mask).sum() / mask.sum()

    def image(self, reconstruction: Reconstruction, images: Tensor) -> Tensor:
        """I′: the prediction of all patches as an image, B×C×H×W (VasoMIM).

        Per-patch normalisation is undone with the true mean and deviation of each patch.
        """
        patches = reconstruction.prediction.float()
        if self.normalise:
            mean, std = patch_statistics(patchify(images, reconstruction.patch_size))
            patches = patches * std + mean
        return unpatchify(patches, reconstruction.patch_size, reconstruction.grid_size)


class AnatomicalConsistency(nn.Module):
    """L_cons of VasoMIM: the frozen segmentor sees the same vessels in I′ as in I.

    Args:
        metric: ``"ce"`` (binary cross-entropy, the default), ``"l1"`` or ``"dice"``
            (AAAI table S6).
    """

    def __init__(self, metric: str = "ce") -> None:
        super().__init__()
        if metric not in ("ce", "l1", "dice"):
            raise InputError(f"anatomical consistency: metric={metric!r} is not ce, l1 or dice")
        self.metric = metric

    def forward(self, logits: Tensor, probability: Tensor) -> Tensor:
        """Compare S(I′), as logits, with sigmoid(S(I)); both B×1×H×W. Only S(I′) gets gradients."""
        target = probability.detach()
        logits = logits.float()
        if self.metric == "ce":
            return F.binary_cross_entropy_with_logits(logits, target)
        if self.metric == "l1":
            return F.l1_loss(torch.sigmoid(logits), target)
        return dice_loss(logits, target)
