"""A plain ViT that interpolates positions for local crops as in the code of DINO."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.nn.vit import VisionTransformer
from benchmark.registry import BACKBONES

# Added to the sides of the new grid by the official code, so that ⌊14 · 6.1/14⌋ is 6 despite
# rounding; it slightly stretches the embedding.
_STRETCH = 0.1


@BACKBONES.register_module()
class MultiCropViT(VisionTransformer):
    """`VisionTransformer` with the position interpolation of DINO and iBOT.

    Bicubic interpolation without antialiasing, at the scale (grid + 0.1) / own grid. At its own
    size, and exported, it is a `VisionTransformer`.
    """

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        if grid == self.grid_size:
            return self.pos_embed
        prefix = self.num_prefix_positions
        table = self.pos_embed[:, prefix:].transpose(1, 2).unflatten(2, self.grid_size)
        scale = [(new + _STRETCH) / own for new, own in zip(grid, self.grid_size)]
        table = F.interpolate(table, scale_factor=scale, mode="bicubic")
        return torch.cat([self.pos_embed[:, :prefix], table.flatten(2).transpose(1, 2)], dim=1)
