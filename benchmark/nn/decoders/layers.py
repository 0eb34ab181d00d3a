"""Building blocks that the ViT decoders and predictors share."""

from __future__ import annotations

from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import nn

from benchmark.errors import InputError
from benchmark.nn.vit import sincos_position_embedding

NORM = partial(nn.LayerNorm, eps=1e-6)
"""LayerNorm with the epsilon of MAE and its descendants."""


def check_width(width: int, num_heads: int) -> None:
    """Raise an `InputError` unless heads and the four parts of the positions share the width."""
    if width % num_heads or width % 4:
        raise InputError(
            f"decoder: width={width} must be a multiple of 4 and of num_heads={num_heads}"
        )


def transformer_blocks(width: int, depth: int, num_heads: int) -> nn.ModuleList:
    """Standard pre-norm blocks with an MLP ratio of 4."""
    return nn.ModuleList(
        Block(width, num_heads, 4.0, qkv_bias=True, norm_layer=NORM) for _ in range(depth)
    )


def fixed_positions(
    width: int, grid_size: tuple[int, int], num_prefix_tokens: int = 0
) -> nn.Parameter:
    """Sine-cosine position embedding, 1×(prefix + N)×width, not trained; zeros for the prefix."""
    prefix = torch.zeros(num_prefix_tokens, width)
    table = torch.cat([prefix, sincos_position_embedding(width, grid_size)])
    return nn.Parameter(table[None], requires_grad=False)
