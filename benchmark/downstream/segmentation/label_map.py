"""Several classes as one label per pixel: soft-max over background and classes.

The other form, and the default, is one sigmoid per class, which keeps overlaps. Here a pixel of
several classes belongs to the last of them, as in the pictures of labels beside a task.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.nn.objectives.dice import soft_dice


def labels_of_bits(bits: Tensor, classes: int) -> Tensor:
    """Pictures of bits (see `LoadTruth`) to labels: 0 background, c + 1 for the last class c.

    Args:
        bits: B×H×W, bit c set on the pixels of class c.
        classes: number of classes, without the background.
    """
    labels = torch.zeros_like(bits, dtype=torch.long)
    for number in range(classes):  # classes, not samples: 25 at most
        labels = torch.where((bits >> number) & 1 > 0, number + 1, labels)
    return labels


class LabelMapCrossEntropy(nn.Module):
    """Cross-entropy over background and classes, in the convention of mmsegmentation's losses."""

    loss_name = "loss_ce"

    def forward(
        self, logits: Tensor, label: Tensor, weight: None = None, ignore_index: int = 255
    ) -> Tensor:
        """Logits B×(1 + classes)×H×W, `label` B×H×W pictures of bits."""
        return F.cross_entropy(logits.float(), labels_of_bits(label, logits.shape[1] - 1))


class LabelMapDice(nn.Module):
    """1 − soft Dice of the soft-max, mean over images and classes without the background."""

    loss_name = "loss_dice"

    def forward(
        self, logits: Tensor, label: Tensor, weight: None = None, ignore_index: int = 255
    ) -> Tensor:
        """Logits B×(1 + classes)×H×W, `label` B×H×W pictures of bits."""
        labels = labels_of_bits(label, logits.shape[1] - 1)
        truth = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).float()
        probability = logits.float().softmax(dim=1)
        return 1 - soft_dice(probability[:, 1:].flatten(2), truth[:, 1:].flatten(2)).mean()


def head_for_labels(head: dict[str, Any], classes: int) -> dict[str, Any]:
    """The config of a decode head with a channel for the background and the losses above."""
    return {
        **head,
        "num_classes": classes + 1,
        "out_channels": classes + 1,
        "loss_decode": [dict(type=LabelMapCrossEntropy), dict(type=LabelMapDice)],
    }
