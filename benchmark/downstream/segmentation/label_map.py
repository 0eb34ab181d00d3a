"""Several classes as one label per pixel: soft-max over background and classes.

The other form, and the default, is one sigmoid per class, which keeps overlaps. Here a pixel of
several classes belongs to the last of them, as in the pictures of labels beside a task.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.nn.objectives.dice import soft_dice


def labels_of_bits(bits: Tensor) -> Tensor:
    """Pictures of bits B×H×W (see `LoadTruth`) to labels: 0 background, c + 1 for the last class c.

    That is the length of the number in bits, which in float64 is its exponent.
    """
    return torch.frexp(bits.double()).exponent.long()


class LabelMapCrossEntropy(nn.Module):
    """Cross-entropy over background and classes, in the convention of mmsegmentation's losses."""

    loss_name = "loss_ce"

    def forward(
        self, logits: Tensor, label: Tensor, weight: None = None, ignore_index: int = 255
    ) -> Tensor:
        """Logits B×(1 + classes)×H×W, `label` B×H×W pictures of bits."""
        return F.cross_entropy(logits.float(), labels_of_bits(label))


class LabelMapDice(nn.Module):
    """1 − soft Dice of the soft-max, mean over images and classes without the background."""

    loss_name = "loss_dice"

    def forward(
        self, logits: Tensor, label: Tensor, weight: None = None, ignore_index: int = 255
    ) -> Tensor:
        """Logits B×(1 + classes)×H×W, `label` B×H×W pictures of bits."""
        truth = F.one_hot(labels_of_bits(label), logits.shape[1]).movedim(-1, 1).float()
        probability = logits.float().softmax(dim=1)
        return 1 - soft_dice(probability[:, 1:].flatten(2), truth[:, 1:].flatten(2)).mean()
