"""The description of a released encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.encoders.weight_layouts import WeightLayout

# ViT-B/16. Every release states what tensors do not show: number of heads, epsilon of the norms.
VIT_B: dict[str, Any] = dict(
    img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12, norm_eps=1e-6
)
PLAIN_VIT_B: dict[str, Any] = {**VIT_B, "activation": "gelu"}  # of the architecture `vit`


@dataclass(frozen=True, kw_only=True)
class Release:
    """A released encoder, a ViT-B/16 unless it says otherwise."""

    name: str  # id; the name of its folder in `configs/` if it has one
    title: str
    pretraining: str
    source: str  # repository or model page, and file
    layouts: tuple[WeightLayout, ...]  # of its files, tried in this order
    architecture: str = "vit"  # key of `benchmark.encoders.encoder.ARCHITECTURES`
    # Constructor arguments, including all that cannot be inferred from tensors (`unproven`).
    arguments: dict[str, Any] = field(default_factory=lambda: PLAIN_VIT_B)
    # Normalisation of intensities in [0, 1] it was trained with, per channel.
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    notes: str = ""  # for users
