"""Simple feature pyramid: all levels from the last map of a plain ViT (ViTDet, §3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.registry import MODELS
from benchmark.type_hints import Count

FACTORS = (4.0, 2.0, 1.0, 0.5)
"""Sizes of the levels relative to the map: strides 4, 8, 16 and 32 for patches of 16²."""


def _resize(channels: int, factor: float) -> tuple[list[nn.Module], int]:
    """Layers that resize a map by `factor`, and the channels they leave."""
    half, quarter = channels // 2, channels // 4
    if factor == 4:
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(channels, half, 2, stride=2),
            LayerNorm2d(half),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2),
        ]
        return layers, quarter
    if factor == 2:
        return [nn.ConvTranspose2d(channels, half, 2, stride=2)], half
    if factor == 1:
        return [], channels
    if factor == 0.5:
        return [nn.MaxPool2d(2, stride=2)], channels
    raise InputError(f"model.neck.factors: {factor} is not one of {', '.join(map(str, FACTORS))}")


@MODELS.register_module()
class SimpleFeaturePyramid(nn.Module):
    """Levels of equal width from one map, and one more by taking every second pixel of the last.

    A level is the map resized by its factor (transposed convolutions or max-pooling), a 1×1 and a
    3×3 convolution, each with a LayerNorm over the channels in the place of its bias.

    Args:
        in_channels: width D of the ViT.
        out_channels: width of all levels.
        factors: size of each level relative to the map, each half of the one before; from 4, 2, 1
            and 1/2.

    Raises:
        InputError: other factors.
    """

    def __init__(
        self, in_channels: Count, out_channels: Count = 256, factors: Sequence[float] = FACTORS
    ) -> None:
        super().__init__()
        if any(finer != 2 * coarser for finer, coarser in pairwise(factors)):
            raise InputError(
                f"model.neck.factors={tuple(factors)}: each has to be half of the one before"
            )
        self.factors = tuple(factors)
        self.levels = nn.ModuleList()
        for factor in factors:
            layers, channels = _resize(in_channels, factor)
            layers += [
                nn.Conv2d(channels, out_channels, 1, bias=False),
                LayerNorm2d(out_channels),
                nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
                LayerNorm2d(out_channels),
            ]
            self.levels.append(nn.Sequential(*layers))

    def strides(self, patch_size: int) -> list[float]:
        """Pixels of the image per pixel of each level, the extra one included."""
        strides = [patch_size / factor for factor in self.factors]
        return [*strides, 2 * strides[-1]]

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """A tuple whose last map is B×D×H×W to levels B×out×(H·f)×(W·f), finest first."""
        levels = [level(inputs[-1]) for level in self.levels]
        return (*levels, F.max_pool2d(levels[-1], 1, stride=2))
