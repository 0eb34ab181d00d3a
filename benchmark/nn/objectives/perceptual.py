"""Perceptual losses on VGG-16 features: LPIPS and the contextual loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from benchmark.errors import InputError
from benchmark.nn.objectives.base import ImageObjective
from benchmark.registry import OBJECTIVES, build
from benchmark.type_hints import Positive
from benchmark.weights import load_strict, read_tensors, without_wrappers

# Indices of the ReLUs in torchvision's `vgg16().features`.
_RELU = {
    f"relu{block}_{number}": index
    for block, indices in enumerate(
        ((1, 3), (6, 8), (11, 13, 15), (18, 20, 22), (25, 27, 29)), start=1
    )
    for number, index in enumerate(indices, start=1)
}
# The last ReLU of each block, and its channels.
LPIPS_LAYERS = dict(relu1_2=64, relu2_2=128, relu3_3=256, relu4_3=512, relu5_3=512)


@OBJECTIVES.register_module()
class VGG16(nn.Module):
    """Convolutional part of VGG-16 (Simonyan & Zisserman, ICLR 2015), frozen; 14.71 M parameters.

    Gradients pass through it to its input. The ImageNet normalisation of its training is that of
    the views.

    Args:
        checkpoint: torchvision's ``vgg16-397923af.pth``, or any state dict with its
            ``features.*`` names; None keeps the random initial weights, for tests.

    Raises:
        InputError: the checkpoint is missing, or its ``features.*`` do not match.
    """

    def __init__(self, checkpoint: str | None) -> None:
        super().__init__()
        self.features = make_layers(cfgs["D"])
        for layer in self.features:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # outputs are kept
        if checkpoint is not None:
            tensors = without_wrappers(read_tensors(checkpoint), self.state_dict())
            # Without the classifier.
            own = {n: value for n, value in tensors.items() if not n.startswith("classifier.")}
            load_strict(self, own, checkpoint)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Outputs of the given ReLUs (``"relu4_2"``, …), from the first to the last.

        Args:
            images: B×3×H×W, ImageNet-normalised; H and W at least 16 for the last block.
        """
        wanted = {_RELU[name] for name in layers}
        outputs = []
        for index, layer in enumerate(self.features[: max(wanted) + 1]):
            images = layer(images)
            if index in wanted:
                outputs.append(images)
        return outputs


@OBJECTIVES.register_module()
class LPIPS(ImageObjective):
    """Learned perceptual image patch similarity of I′ and I (Zhang et al., CVPR 2018, eq. 1).

    Features of five layers are ℓ2-normalised per position; their squared differences are weighted
    by learned weights per channel, averaged over positions, and summed over the layers. The input
    scaling of the official code is the ImageNet normalisation of the views.

    Args:
        features: `VGG16` or its config.
        checkpoint: the learned weights, ``lpips/weights/v0.1/vgg.pth`` of the official code; None
            weights all channels equally (1/C), the unlearned baseline of the paper.
        weight: weight of the term in the total loss.

    Raises:
        InputError: the checkpoint is missing, does not match, or has negative weights.
    """

    name = "perceptual"

    def __init__(
        self, features: nn.Module | dict[str, Any], checkpoint: str | None, weight: float = 1.0
    ) -> None:
        super().__init__(weight)
        self.features = build(features)
        for number, channels in enumerate(LPIPS_LAYERS.values()):
            self.register_buffer(f"linear{number}", torch.full((channels,), 1 / channels))
        if checkpoint is not None:
            self._load(checkpoint)

    def _load(self, checkpoint: str) -> None:
        tensors = without_wrappers(read_tensors(checkpoint), ["lin0.model.1.weight"])
        for number, channels in enumerate(LPIPS_LAYERS.values()):
            learned = tensors.get(f"lin{number}.model.1.weight")
            if learned is None or learned.shape != (1, channels, 1, 1) or (learned < 0).any():
                raise InputError(
                    f"{checkpoint}: no LPIPS weights of VGG (lin{number}.model.1.weight must be "
                    f"1×{channels}×1×1 and not negative)"
                )
            self.get_buffer(f"linear{number}").copy_(learned.flatten())

    def compare(self, reconstructed: Tensor, images: Tensor) -> Tensor:
        layers = tuple(LPIPS_LAYERS)
        with torch.no_grad():
            targets = self.features(images, layers)
        total = torch.zeros((), device=images.device)
        pairs = zip(self.features(reconstructed, layers), targets)
        for number, (features, target) in enumerate(pairs):
            difference = F.normalize(features.float(), dim=1) - F.normalize(target.float(), dim=1)
            weights = self.get_buffer(f"linear{number}")[:, None, None]
            total = total + (weights * difference.square()).sum(dim=1).mean()
        return total


@OBJECTIVES.register_module()
class ContextualLoss(ImageObjective):
    """Contextual loss between I′ and I (Mechrez et al., ECCV 2018, eq. 1–5).

    The features of each image form a point set. Cosine distances d_ij, centred by the mean of the
    points of I, are normalised by the nearest, d̃_ij = d_ij / (min_k d_ik + ε), and turned into
    similarities w_ij = exp((1 − d̃_ij)/h), normalised to CX_ij = w_ij / Σ_k w_ik. The loss is −log
    of the mean of maxᵢ CX_ij over the points j of I.

    A layer with n positions takes n² similarities per image: 784² for ``relu4_2`` at 224².

    Args:
        features: `VGG16` or its config.
        layers: layers whose losses are summed.
        bandwidth: h.
        weight: weight of the term in the total loss.

    Raises:
        InputError: unknown layer.
    """

    name = "contextual"

    def __init__(
        self,
        features: nn.Module | dict[str, Any],
        layers: Sequence[str] = ("relu4_2",),
        bandwidth: Positive = 0.5,
        weight: float = 1.0,
    ) -> None:
        super().__init__(weight)
        self.features = build(features)
        for layer in layers:
            if layer not in _RELU:
                raise InputError(f"VGG16: layer {layer!r} is not one of {', '.join(_RELU)}")
        if not layers:
            raise InputError("VGG16: layers=() names no layer")
        self.layers = tuple(layers)
        self.bandwidth = bandwidth

    def compare(self, reconstructed: Tensor, images: Tensor) -> Tensor:
        with torch.no_grad():
            targets = self.features(images, self.layers)
        total = torch.zeros((), device=images.device)
        for points, target in zip(self.features(reconstructed, self.layers), targets):
            total = total + contextual_distance(
                points.flatten(2), target.flatten(2), self.bandwidth
            )
        return total


def contextual_distance(points: Tensor, target: Tensor, bandwidth: float) -> Tensor:
    """−log CX(X, Y) of `points` X, B×C×n, and `target` Y, B×C×m; mean over the batch."""
    with torch.autocast(points.device.type, enabled=False):
        points, target = points.float(), target.float()
        centre = target.mean(dim=2, keepdim=True)
        points, target = F.normalize(points - centre, dim=1), F.normalize(target - centre, dim=1)
        # Rounding can lift a cosine above 1; distances must not be negative.
        distance = (1 - points.transpose(1, 2) @ target).clamp_min(0)
        relative = distance / (distance.amin(dim=2, keepdim=True) + 1e-5)
        similarity = ((1 - relative) / bandwidth).softmax(dim=2)
        return -similarity.amax(dim=1).mean(dim=1).log().mean()
