"""Anatomical consistency loss of VasoMIM."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.nn.objectives.dice import dice_loss
from benchmark.registry import OBJECTIVES


@OBJECTIVES.register_module()
class AnatomicalConsistency(nn.Module):
    """L_cons of VasoMIM: the frozen segmentor S finds the same vessels in I′ as in I.

    Args:
        metric: ``"ce"`` (binary cross-entropy, the default), ``"l1"`` or ``"dice"``
            (AAAI table S6).
    """

    def __init__(self, metric: Literal["ce", "l1", "dice"] = "ce") -> None:
        super().__init__()
        self.metric = metric

    def forward(self, logits: Tensor, probability: Tensor) -> Tensor:
        """Loss between the logits S(I′) and sigmoid(S(I)), both B×1×H×W; the latter is detached."""
        target = probability.detach()
        logits = logits.float()
        if self.metric == "ce":
            return F.binary_cross_entropy_with_logits(logits, target)
        if self.metric == "l1":
            return F.l1_loss(torch.sigmoid(logits), target)
        return dice_loss(logits, target)
