"""Decoders of local multi-scale reconstruction (LocalMIM, Wang et al., CVPR 2023)."""

from __future__ import annotations

import torch
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.decoders.layers import NORM, check_width, fixed_positions, transformer_blocks
from benchmark.nn.tokens import fill_with_mask_tokens
from benchmark.nn.vit import initialise_like_mae
from benchmark.registry import DECODERS
from benchmark.type_hints import Count, Natural


def _rescale(width: int, scale: float) -> tuple[list[nn.Module], int]:
    """Layers that resample the patch grid by `scale`, and their output width."""
    half, quarter = width // 2, width // 4
    if scale == 4:
        second = nn.ConvTranspose2d(half, quarter, 2, stride=2)
        first = nn.ConvTranspose2d(width, half, 2, stride=2)
        return [first, LayerNorm2d(half, eps=1e-6), nn.GELU(), second], quarter
    if scale == 2:
        return [nn.ConvTranspose2d(width, half, 2, stride=2)], half
    if scale == 1:
        return [], width
    if scale == 0.5:
        return [nn.AvgPool2d(2)], width
    raise InputError(f"local decoder: scale={scale} is not 4, 2, 1 or 0.5")


@DECODERS.register_module()
class LocalDecoder(nn.Module):
    """One decoder of LocalMIM: predicts targets at one scale from the tokens of one encoder layer.

    A narrow ViT decodes visible and mask tokens; its output map is resampled to the scale of the
    targets by transposed convolutions or pooling, and a 1×1 convolution predicts them. Attribute
    names are those of the official checkpoint.

    Args:
        out_channels: values to predict in each cell.
        scale: cells per patch and axis: 4, 2, 1 or 0.5.
        encoder_dim, grid_size, width, depth, num_heads, num_prefix_tokens: as in `MAEDecoder`.

    Raises:
        InputError: an unknown scale, an indivisible `width`, or a grid with an odd side at scale
            0.5.
    """

    def __init__(
        self,
        encoder_dim: Count,
        grid_size: tuple[int, int],
        out_channels: Count,
        scale: float,
        width: Count = 256,
        depth: Count = 1,
        num_heads: Count = 8,
        num_prefix_tokens: Natural = 1,
    ) -> None:
        super().__init__()
        check_width(width, num_heads)
        if scale < 1 and (grid_size[0] % 2 or grid_size[1] % 2):
            raise InputError(f"local decoder: a grid of {grid_size} patches cannot be halved")
        self.grid_size = grid_size
        self.num_prefix_tokens = num_prefix_tokens
        self.embed = nn.Linear(encoder_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = fixed_positions(width, grid_size, num_prefix_tokens)
        self.blocks = transformer_blocks(width, depth, num_heads)
        self.norm = NORM(width)
        layers, channels = _rescale(width, scale)
        self.pred = nn.Sequential(*layers, nn.Conv2d(channels, out_channels, 1))
        # Linear layers and norms only; as in the official code, convolutions keep torch's default.
        initialise_like_mae(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, latent: Tensor, ids_restore: Tensor) -> Tensor:
        """Predict every cell, B×out_channels×(scale·rows)×(scale·columns), as `MAEDecoder` does."""
        tokens = fill_with_mask_tokens(
            self.embed(latent), self.mask_token, ids_restore, self.num_prefix_tokens
        )
        tokens = tokens + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        patches = self.norm(tokens)[:, self.num_prefix_tokens :]
        return self.pred(patches.transpose(1, 2).unflatten(2, self.grid_size))
