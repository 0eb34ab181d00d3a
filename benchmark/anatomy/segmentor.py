"""The lightweight segmentor S of VasoMIM: trained on extracted vessels, then frozen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn
from torch.func import functional_call

from benchmark.method import Method, Progress
from benchmark.nn.batch_norm import convert_sync_batchnorm
from benchmark.nn.objectives.dice import batch_dice, dice_loss
from benchmark.nn.precision import to_float32
from benchmark.registry import METHODS, MODELS, build
from benchmark.weights import load_strict, read_tensors


def supervision(
    logits: Tensor, target: Tensor, dice: Literal["batch", "part", "sample"] = "batch"
) -> dict[str, Tensor]:
    """Supervised loss 0.5·BCE + 0.5·(1 − Dice), as in XA-SSL's code; inputs are B×1×H×W.

    Args:
        dice: the pixels of one Dice score: the global ``"batch"`` of all processes, as in that
            code, which trains on one; the ``"part"`` given here; or one score per ``"sample"``.

    Returns:
        ``loss_bce``, ``loss_dice``, and for logging ``dice_score`` of the mask logits > 0.
    """
    logits = to_float32(logits)
    everywhere = dice == "batch"
    with torch.no_grad():
        prediction = (logits > 0).to(logits.dtype)
        score = batch_dice(prediction, target, across_processes=everywhere)
    if dice == "sample":
        loss = dice_loss(logits, target)
    else:
        loss = 1 - batch_dice(logits.sigmoid(), target, across_processes=everywhere)
    return {
        "loss_bce": 0.5 * F.binary_cross_entropy_with_logits(logits, target),
        "loss_dice": 0.5 * loss,
        "dice_score": score,
    }


@METHODS.register_module()
class SegmentorTraining(Method):
    """Train a segmentor on the extracted vessels.

    Dice and batch normalisation are over the global batch, so that several processes train the
    same segmentor as one; a batch cannot be split into micro-batches.

    Args:
        views: one view per frame, with its anatomy.
        network: B×3×H×W image to B×1×H×W logits.
    """

    cross_sample: ClassVar[bool] = True

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
        network: nn.Module | dict[str, Any],
    ) -> None:
        super().__init__(views)
        network = convert_sync_batchnorm(build(network))
        self.network = network.to(memory_format=torch.channels_last)

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        images = views["image"].contiguous(memory_format=torch.channels_last)
        return supervision(self.network(images), views["anatomy"])

    def exports(self) -> dict[str, nn.Module]:
        return {"segmentor": self.network}


@MODELS.register_module()
class FrozenSegmentor(nn.Module):
    """S with frozen weights; gradients flow to its input only.

    Args:
        network: the architecture S was trained with.
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
        # Always eval mode: batch statistics would make S depend on the batch.
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
    """Configs of all frozen segmentors nested in a config."""
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
    """S trained jointly with the masked image model (AAAI table S4).

    Only `loss` trains S, in training mode. Guidance and consistency use it like `FrozenSegmentor`,
    with running statistics and detached weights; otherwise S could satisfy the consistency loss by
    predicting no vessels at all.

    Args:
        network: B×3×H×W image to B×1×H×W logits.
    """

    def __init__(self, network: nn.Module | dict[str, Any]) -> None:
        super().__init__()
        self.network = build(network).to(memory_format=torch.channels_last)

    def loss(self, images: Tensor, anatomy: Tensor) -> Tensor:
        """Supervised loss of S, a scalar.

        Call it first in a step: it updates the running statistics. Dice and batch normalisation are
        over the micro-batch, as the AAAI paper trained with 256 samples on one GPU, whichever
        process computes it.
        """
        logits = self.network(images.contiguous(memory_format=torch.channels_last))
        terms = supervision(logits, anatomy, dice="part")
        return terms["loss_bce"] + terms["loss_dice"]

    def forward(self, images: Tensor) -> Tensor:
        """Logits of S with detached weights, B×1×H×W; differentiable in `images`."""
        training = self.network.training
        detached = {name: weight.detach() for name, weight in self.network.named_parameters()}
        self.network.eval()
        images = images.contiguous(memory_format=torch.channels_last)
        logits = functional_call(self.network, detached, (images,))
        self.network.train(training)
        return logits

    @torch.no_grad()
    def probability(self, images: Tensor) -> Tensor:
        """M = sigmoid(S(I)), B×1×H×W in (0, 1), without gradients, float32."""
        return self(images).float().sigmoid()
