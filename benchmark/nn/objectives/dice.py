"""Dice score and loss of segmentation."""

from __future__ import annotations

from torch import Tensor


def soft_dice(probability: Tensor, target: Tensor, smooth: float = 1e-5) -> Tensor:
    """Soft Dice score over the last dimension, (2·Σpt + s) / (Σp + Σt + s), in [0, 1]."""
    intersection = (probability * target).sum(dim=-1)
    total = probability.sum(dim=-1) + target.sum(dim=-1)
    return (2 * intersection + smooth) / (total + smooth)


def dice_loss(
    logits: Tensor, target: Tensor, smooth: float = 1e-5, over_batch: bool = False
) -> Tensor:
    """1 − soft Dice of sigmoid outputs.

    Args:
        logits, target: B×C×H×W; the target in [0, 1].
        smooth: added to numerator and denominator.
        over_batch: a single score over the flattened batch (XA-SSL's segmentor) instead of the mean
            of the scores per sample and channel (MONAI's `DiceLoss`, used by CheXWorld).
    """
    probability = logits.sigmoid()
    start = 0 if over_batch else 2
    return 1 - soft_dice(probability.flatten(start), target.flatten(start), smooth).mean()
