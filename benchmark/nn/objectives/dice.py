"""Dice score and loss of segmentation."""

from __future__ import annotations

import torch
from mmengine.dist import get_world_size
from torch import Tensor
from torch.distributed.nn.functional import all_reduce


def soft_dice(probability: Tensor, target: Tensor, smooth: float = 1e-5) -> Tensor:
    """Soft Dice score over the last dimension, (2·Σpt + s) / (Σp + Σt + s), in [0, 1]."""
    intersection = (probability * target).sum(dim=-1)
    total = probability.sum(dim=-1) + target.sum(dim=-1)
    return (2 * intersection + smooth) / (total + smooth)


def dice_loss(logits: Tensor, target: Tensor, smooth: float = 1e-5) -> Tensor:
    """1 − soft Dice of sigmoid outputs: the mean over samples and channels.

    As MONAI's `DiceLoss`, which CheXWorld uses.

    Args:
        logits, target: B×C×H×W; the target in [0, 1].
        smooth: added to numerator and denominator.
    """
    return 1 - soft_dice(logits.sigmoid().flatten(2), target.flatten(2), smooth).mean()


def batch_dice(
    probability: Tensor, target: Tensor, smooth: float = 1e-5, across_processes: bool = True
) -> Tensor:
    """Soft Dice of all pixels of a batch as one set, a scalar in [0, 1] (XA-SSL's segmentor).

    Args:
        probability, target: tensors of one shape with values in [0, 1].
        smooth: added to numerator and denominator.
        across_processes: the global batch, the parts of all processes together; otherwise the part
            of this process.
    """
    probability, target = probability.flatten(), target.flatten()
    sums = torch.stack([(probability * target).sum(), probability.sum() + target.sum()])
    if across_processes and get_world_size() > 1:
        sums = all_reduce(sums)
    intersection, total = sums
    return (2 * intersection + smooth) / (total + smooth)
