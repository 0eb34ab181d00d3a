"""A plain ViT that sees small crops as the code of DINO lets it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.nn.vit import VisionTransformer
from benchmark.registry import BACKBONES

# Added to the sides of the new grid by the official code, so that ⌊14 · 6.1/14⌋ is 6 whatever the
# rounding; it stretches the table a little.
_STRETCH = 0.1


@BACKBONES.register_module()
class MultiCropViT(VisionTransformer):
    """`VisionTransformer` with the position tables of DINO and iBOT for other grids than its own.

    Plain bicubic interpolation without low-pass filter, at the scale (grid + 0.1) / own grid. At
    its own size, and exported, it is a `VisionTransformer`.
    """

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        if grid == self.grid_size:
            return self.pos_embed
        prefix = self.num_prefix_positions
        table = self.pos_embed[:, prefix:].transpose(1, 2).unflatten(2, self.grid_size)
        scale = [(new + _STRETCH) / own for new, own in zip(grid, self.grid_size)]
        table = F.interpolate(table, scale_factor=scale, mode="bicubic")
        return torch.cat([self.pos_embed[:, :prefix], table.flatten(2).transpose(1, 2)], dim=1)
