"""The lightweight segmentor S of VasoMIM: trained on extracted vessels, then frozen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn
from torch.func import functional_call

from benchmark.method import Method, Progress
from benchmark.nn.objectives.dice import dice_loss
from benchmark.registry import METHODS, MODELS, build
from benchmark.weights import load_strict, read_tensors


def supervision(logits: Tensor, target: Tensor, over_batch: bool = True) -> dict[str, Tensor]:
    """The loss on extracted vessels, 0.5·BCE + 0.5·(1 − Dice) (XA-SSL's code), B×1×H×W each.

    Args:
        over_batch: one Dice score over the flattened batch, as in that code, or one per sample.

    Returns:
        ``loss_bce`` and ``loss_dice``; and ``dice_score`` of the mask logits > 0, for the log.
    """
    logits = logits.float()
    with torch.no_grad():
        prediction = (logits > 0).float()
        overlap = 2 * (prediction * target).sum()
        score = (overlap + 1e-5) / (prediction.sum() + target.sum() + 1e-5)
    return {
        "loss_bce": 0.5 * F.binary_cross_entropy_with_logits(logits, target),
        "loss_dice": 0.5 * dice_loss(logits, target, over_batch=over_batch),
        "dice_score": score,
    }


@METHODS.register_module()
class SegmentorTraining(Method):
    """Train a segmentor on the extracted vessels.

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
        return supervision(self.network(images), views["anatomy"])

    def exports(self) -> dict[str, nn.Module]:
        return {"segmentor": self.network}


@MODELS.register_module()
class FrozenSegmentor(nn.Module):
    """S with frozen weights: gradients pass through to its input, never into its weights.

    Args:
        network: the architecture it was trained with.
        checkpoint: ``segmentor.safetensors`` of a segmentor run, or the authors' ``unext.pth``;
            None keeps the initial weights, for tests.
    """

    def __init__(self, network: nn.Module | dict[str, Any], checkpoint: str | None) -> None:
        super().__init__()
        self.network = build(network)
        if checkpoint is not None:
            load_strict(self.network, read_tensors(checkpoint), checkpoint)
        # Convolutions with few channels are about twice as fast in channels_last.
        self.network.to(memory_format=torch.channels_last)
        self.network.requires_grad_(False)
        self.network.eval()

    def train(self, mode: bool = True) -> FrozenSegmentor:
        # Batch statistics would depend on the batch; S stays a fixed function.
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


def frozen_segmentors(node: Any) -> Iterator[dict[str, Any]]:
    """The frozen segmentors in a config, as the dictionaries they are built from."""
    if isinstance(node, dict):
        if node.get("type") is FrozenSegmentor:
            yield node
        for value in node.values():
            yield from frozen_segmentors(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from frozen_segmentors(value)


@MODELS.register_module()
class JointSegmentor(nn.Module):
    """S trained together with the masked image model instead of in advance (AAAI table S4).

    S is trained by `loss` only, in training mode. Guidance and consistency use it as a fixed
    function, like `FrozenSegmentor`: with its running statistics, and with weights that get no
    gradient. Otherwise a segmentor that predicts no vessel at all would satisfy the consistency.

    Args:
        network: the architecture, B×3×H×W image to B×1×H×W logits.
    """

    def __init__(self, network: nn.Module | dict[str, Any]) -> None:
        super().__init__()
        self.network = build(network).to(memory_format=torch.channels_last)

    def loss(self, images: Tensor, anatomy: Tensor) -> Tensor:
        """The supervised loss of S, a scalar.

        To be called first in a step, because it updates the running statistics.
        """
        logits = self.network(images.contiguous(memory_format=torch.channels_last))
        terms = supervision(logits, anatomy)
        return terms["loss_bce"] + terms["loss_dice"]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the fixed S, B×1×H×W; differentiable in `images`."""
        training = self.network.training
        fixed = {name: weight.detach() for name, weight in self.network.named_parameters()}
        self.network.eval()
        images = images.contiguous(memory_format=torch.channels_last)
        logits = functional_call(self.network, fixed, (images,))
        self.network.train(training)
        return logits

    @torch.no_grad()
    def probability(self, images: Tensor) -> Tensor:
        """M = sigmoid(S(I)), B×1×H×W in (0, 1), without gradients, float32."""
        return self(images).float().sigmoid()
