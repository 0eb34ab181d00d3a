"""The plain UNet decoder of protocol `aaai`: no pyramid, one map of the encoder.

The AAAI paper of VasoMIM names "a UNet decoder" on the ViT and no adaptor. What that leaves open is
decided here: the map of the last block is brought to the decoder's width and climbs to full
resolution in steps of two, with the image itself as the only skip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from benchmark.downstream.segmentation.model import ResidualBlock
from benchmark.registry import MODELS
from benchmark.type_hints import Count


@MODELS.register_module()
class PatchMap(nn.Module):
    """The encoder's last map at the width of the decoder: 1×1 convolution, norm, GELU.

    Args:
        in_channels: width D of the encoder.
        width: channels of the result.
    """

    def __init__(self, in_channels: Count, width: Count = 512) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Conv2d(in_channels, width, 1), nn.BatchNorm2d(width), nn.GELU()
        )

    def forward(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """(image, map, …) to (image, B×width×h×w); of several maps the last, coarsest one."""
        return inputs[0], self.project(inputs[-1])


@MODELS.register_module()
class PlainUNetDecoder(BaseDecodeHead):
    """Climbs from one map to full resolution without a pyramid.

    Each step enlarges the map to the next finer of the sizes H/8, H/4, H/2 and H (nearest) and
    applies a residual block; before the last one a residual stem on the image is concatenated.

    Args:
        widths: channels at H/2, H/4, H/8 and of the incoming map, finest first.
        stem: channels of the stem, and of the output.
        kwargs: arguments of mmsegmentation's `BaseDecodeHead` (classes, losses, threshold).
    """

    def __init__(
        self, widths: Sequence[Count] = (64, 128, 256, 512), stem: Count = 32, **kwargs: Any
    ) -> None:
        super().__init__(
            in_channels=widths[-1], channels=stem, dropout_ratio=0.0, init_cfg=None, **kwargs
        )
        self.stem = ResidualBlock(3, stem)
        finer = (*widths[:-1][::-1], stem)
        coarser = (*widths[1:][::-1], widths[0] + stem)
        self.blocks = nn.ModuleList(ResidualBlock(a, b) for a, b in zip(coarser, finer))

    def forward(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """(image, map) to logits at image size."""
        images, maps = inputs
        *climb, last = self.blocks
        for step, block in zip(range(len(climb), 0, -1), climb):
            size = [-(-side // 2**step) for side in images.shape[2:]]
            maps = block(F.interpolate(maps, size=size, mode="nearest"))
        maps = F.interpolate(maps, size=images.shape[2:], mode="nearest")
        return self.cls_seg(last(torch.cat([maps, self.stem(images)], dim=1)))
