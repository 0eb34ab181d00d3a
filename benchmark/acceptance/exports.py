"""Encoders of every architecture with random weights: exported, loaded, run on the device."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmark.acceptance.agreement import TOLERANCE, exact_fp32, relative_difference
from benchmark.acceptance.findings import Finding, at_most
from benchmark.device import device
from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.nn.backbones.base import Encoder
from benchmark.nn.backbones.resnet import ResNetEncoder
from benchmark.nn.backbones.sam import SAMEncoder
from benchmark.nn.backbones.unet import UNetEncoder
from benchmark.nn.vit import VisionTransformer
from benchmark.randomness import seed_torch

_KINDS: dict[str, tuple[type, dict[str, Any], dict[str, Any]]] = {
    "ViT-B": (VisionTransformer, {}, {"embed_dim": 96, "depth": 2, "num_heads": 3}),
    "ResNet-50": (ResNetEncoder, {}, {"layers": (1, 1, 1, 1), "block": "basic"}),
    "UNet": (UNetEncoder, {}, {"base_channels": 8}),
    "SAM ViT-B": (
        SAMEncoder,
        {"img_size": 512},
        {"img_size": 128, "embed_dim": 96, "depth": 2, "num_heads": 3, "global_blocks": (1,)},
    ),
}
"""Name → class, its arguments, and those for a reduced size."""


def exports(reduced: bool) -> Iterator[Finding]:
    """The exported encoder gives the same features on the device as on the CPU."""
    for name, (kind, arguments, small) in _KINDS.items():
        seed_torch("acceptance", name)
        encoder = kind(**(small if reduced else arguments))
        with tempfile.TemporaryDirectory() as folder:
            export_encoder(Path(folder), encoder.to(device()), {"run": "acceptance"})
            loaded, _ = load_encoder(folder)
        side = encoder.img_size
        image = torch.linspace(-1, 1, 3 * side**2).sin().view(1, 3, side, side)
        with torch.no_grad(), exact_fp32():
            expected = _maps(loaded.eval(), image)
            found = _maps(loaded.to(device()), image.to(device()))
        worst = max(relative_difference(one, other) for one, other in zip(expected, found))
        yield at_most(f"features of {name}, device against CPU", worst, TOLERANCE)


def _maps(encoder: Encoder, image: Tensor) -> list[Tensor]:
    return [features.cpu() for features in encoder.feature_maps(image)]
