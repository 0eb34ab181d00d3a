"""The small segmentor S of VasoMIM: trained on extracted vessels, then frozen."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from benchmark.build import build
from benchmark.method import Method, Progress
from benchmark.nn.losses import dice_loss
from benchmark.weights import load_strict, read_tensors


class SegmentorTraining(Method):
    """Train a segmentor on the extracted vessels: 0.5·BCE + 0.5·(1 − Dice), Dice over the batch.

    Args:
        views: maker of one masked view per frame, with its anatomy.
        network: B×3×H×W image to B×1×H×W logits.
    """

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
        network: nn.Module | dict[str, Any],
    ) -> None:
        super().__init__(views)
        self.network = build(network).to(memory_format=torch.channels_last)

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        images = views["image"].contiguous(memory_format=torch.channels_last)
        logits = self.network(images).float()
        target = views["anatomy"]
        with torch.no_grad():
            prediction = (logits > 0).float()
            overlap = 2 * (prediction * target).sum()
            score = (overlap + 1e-5) / (prediction.sum() + target.sum() + 1e-5)
        return {
            "loss_bce": 0.5 * F.binary_cross_entropy_with_logits(logits, target),
            "loss_dice": 0.5 * dice_loss(logits, target, over_batch=True),
            "dice_score": score,
        }

    def exports(self) -> dict[str, nn.Module]:
        return {"segmentor": self.network}


class FrozenSegmentor(nn.Module):
    """S with fixed weights: gradients pass through it to its input, never into it.

    Args:
        network: the architecture, as it was trained.
        checkpoint: ``segmentor.safetensors`` of a segmentor run, or the authors' ``unext.pth``;
            None leaves the initial weights, for tests.

    Raises:
        InputError: the checkpoint is missing or does not fit strictly.
    """

    def __init__(self, network: nn.Module | dict[str, Any], checkpoint: str | None) -> None:
        super().__init__()
        self.network = build(network)
        if checkpoint is not None:
            load_strict(self.network, read_tensors(checkpoint), checkpoint)
        # Convolutions of few channels run about twice as fast with the channels innermost.
        self.network.to(memory_format=torch.channels_last)
        self.network.requires_grad_(False)
        self.network.eval()

    def train(self, mode: bool = True) -> FrozenSegmentor:
        # Batch statistics would drift with the batch; S stays the function it was trained to be.
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Logits, B×1×H×W; differentiable in `images`."""
        return self.network(images.contiguous(memory_format=torch.channels_last))

    @torch.no_grad()
    def probability(self, images: Tensor) -> Tensor:
        """M = sigmoid(S(I)), B×1×H×W in (0, 1), without gradients, float32."""
        return self(images).float().sigmoid()
