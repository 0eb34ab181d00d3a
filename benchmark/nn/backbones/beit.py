"""The ViT of BEiT (Bao et al., ICLR 2022), as used by SimMIM (Xie et al., CVPR 2022)."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from timm.layers import LayerNorm, resample_abs_pos_embed
from timm.models.beit import Attention, Beit, gen_relative_position_index
from torch import Tensor

from benchmark.nn.backbones.base import TimmTransformer, block_groups, check_sizes
from benchmark.registry import BACKBONES
from benchmark.type_hints import Count, Positive, Rate

# Last entries of a table: CLS to patch, patch to CLS, CLS to CLS.
_CLS_ENTRIES = 3


def relative_bias(table: Tensor, own: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Relative position bias of the attention logits with a CLS token, 1×heads×(1 + N)×(1 + N).

    For a grid other than the table's own, patch-to-patch entries are interpolated (bicubic).

    Args:
        table: ((2·rows − 1)·(2·columns − 1) + 3)×heads, offsets of query and key in raster order.
        own, grid: rows and columns of patches of the table and of the image.
    """
    if grid != own:
        spatial = table[:-_CLS_ENTRIES].T.unflatten(1, (2 * own[0] - 1, 2 * own[1] - 1))
        size = (2 * grid[0] - 1, 2 * grid[1] - 1)
        spatial = F.interpolate(spatial[None], size, mode="bicubic", align_corners=False)
        table = torch.cat([spatial[0].flatten(1).T, table[-_CLS_ENTRIES:]])
    index = gen_relative_position_index(grid, device=table.device)
    return table[index].permute(2, 0, 1)[None]


class ResampledAttention(Attention):
    """timm's attention of BEiT with a bias table that is interpolated to the grid of the image.

    Attributes:
        grid: rows and columns of patches, set by the encoder in every forward pass.
    """

    grid: tuple[int, int]

    def _get_rel_pos_bias(self) -> Tensor:
        return relative_bias(self.relative_position_bias_table, self.window_size, self.grid)


@BACKBONES.register_module()
class BeitEncoder(TimmTransformer, Beit):
    """timm's `Beit` without a head, for any image size; state-dict names are timm's.

    Queries and values have biases, keys have none. The defaults are the ViT-B/16 of SimMIM's
    pre-training: a relative position bias shared by all blocks, no absolute positions, layer scale
    0.1. Its fine-tuned models have a bias table per block (`rel_pos_bias`).

    Args:
        img_size, patch_size, embed_dim, depth, num_heads, mlp_ratio, in_channels, drop_path: see
            `TimmTransformer`.
        abs_pos: absolute position embedding of CLS and patches.
        rel_pos_bias: relative position bias per block.
        shared_rel_pos_bias: relative position bias shared by all blocks.
        layer_scale: initial layer scale; None for no layer scale.
        norm_eps: epsilon of every LayerNorm.

    Raises:
        InputError: indivisible sizes.
    """

    overrides: ClassVar[frozenset[str]] = frozenset({"drop_path"})
    unproven: ClassVar[frozenset[str]] = frozenset({"num_heads", "norm_eps"})

    def __init__(
        self,
        img_size: Count = 224,
        patch_size: Count = 16,
        embed_dim: Count = 768,
        depth: Count = 12,
        num_heads: Count = 12,
        mlp_ratio: Positive = 4.0,
        abs_pos: bool = False,
        rel_pos_bias: bool = False,
        shared_rel_pos_bias: bool = True,
        layer_scale: float | None = 0.1,
        norm_eps: Positive = 1e-6,
        in_channels: Count = 3,
        drop_path: Rate = 0.0,
    ) -> None:
        check_sizes("Beit", img_size, patch_size, embed_dim, num_heads)
        self.build_timm(
            BeitEncoder,
            locals(),
            LayerNorm,
            global_pool="token",
            init_values=layer_scale,
            use_abs_pos_emb=abs_pos,
            use_rel_pos_bias=rel_pos_bias,
            use_shared_rel_pos_bias=shared_rel_pos_bias,
        )
        self.grid_size = (img_size // patch_size, img_size // patch_size)
        self.patch_embed.strict_img_size = False
        if rel_pos_bias:
            for block in self.blocks:
                attention = ResampledAttention(
                    embed_dim, num_heads, qkv_bias=True, window_size=self.grid_size
                )
                attention.load_state_dict(block.attn.state_dict())
                block.attn = attention

    def forward(self, images: Tensor) -> Tensor:
        """Tokens after the last block and the final norm, B×(1 + N)×D."""
        grid = self.grid(images)
        patches = self.patch_embed(images)
        # Not len(patches), with which the batch of an ONNX file would be fixed.
        tokens = torch.cat([self.cls_token.expand(patches.shape[0], -1, -1), patches], dim=1)
        if self.pos_embed is not None:
            positions = self.pos_embed
            if grid != self.grid_size:
                # As in BEiT's code, without antialiasing.
                positions = resample_abs_pos_embed(
                    positions, grid, self.grid_size, 1, antialias=False
                )
            tokens = tokens + positions
        shared = None
        if self.rel_pos_bias is not None:
            table = self.rel_pos_bias.relative_position_bias_table
            shared = relative_bias(table, self.grid_size, grid)
        for block in self.blocks:
            block.attn.grid = grid
            tokens = block(tokens, shared_rel_pos_bias=shared)
        return self.norm(tokens)

    def layer_groups(self) -> list[list[str]]:
        """Embeddings and shared positions, every block, the final norm."""
        early = ("patch_embed.", "pos_embed", "cls_token", "rel_pos_bias.")
        return block_groups(self, early, "norm.")
