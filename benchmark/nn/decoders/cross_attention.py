"""The cross-attention decoder of CrossMAE: queries attend to visible patches only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers import Mlp
from torch import Tensor, nn

from benchmark.nn.decoders.layers import NORM, check_width, fixed_positions
from benchmark.nn.vit import initialise_like_mae
from benchmark.registry import DECODERS
from benchmark.type_hints import Count, Natural


class CrossAttention(nn.Module):
    """Multi-head cross-attention between sequences of different widths."""

    def __init__(self, query_dim: int, context_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(query_dim, query_dim)
        self.kv = nn.Linear(context_dim, 2 * query_dim)
        self.proj = nn.Linear(query_dim, query_dim)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        """B×Q×query_dim and B×T×context_dim to B×Q×query_dim."""
        query = self.q(queries).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        key, value = (
            part.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for part in self.kv(context).chunk(2, dim=2)
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).flatten(2))


class CrossAttentionBlock(nn.Module):
    """x ← x + CrossAttn(LN x, y), then x ← x + MLP(LN x); no self-attention."""

    def __init__(self, width: int, context_dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = NORM(width)
        self.cross_attn = CrossAttention(width, context_dim, num_heads)
        self.norm2 = NORM(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x: B×Q×width; y: B×T×context_dim; returns B×Q×width."""
        x = x + self.cross_attn(self.norm1(x), y)
        return x + self.mlp(self.norm2(x))


class WeightedFeatureMaps(nn.Module):
    """Inter-block attention (CrossMAE, §3.4): a learned mixture of maps per decoder block."""

    def __init__(self, num_maps: int, num_mixtures: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_maps, num_mixtures, bias=False)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """`num_maps` tensors B×T×D to num_mixtures×B×T×D."""
        return torch.einsum("jk,kbtd->jbtd", self.linear.weight, torch.stack(list(maps)))


@DECODERS.register_module()
class CrossAttentionDecoder(nn.Module):
    """The decoder of CrossMAE (Fu et al., TMLR 2025).

    The queries are mask tokens at the positions to predict. Each block attends to its own mixture
    of the encoder's feature maps, normalised by its own LayerNorm. Positions are predicted
    independently of each other, so that only a subset of the masked patches has to be decoded.
    Attribute names are those of the official checkpoint.

    Args:
        num_maps: number of feature maps: the encoder's input and the output of each block.
        encoder_dim, grid_size, patch_size, width, depth, num_heads, num_prefix_tokens, in_channels,
            out_dim: as in `MAEDecoder`; prefix tokens are attended to.

    Raises:
        InputError: indivisible `width`.
    """

    def __init__(
        self,
        encoder_dim: Count,
        grid_size: tuple[int, int],
        patch_size: Count,
        num_maps: Count,
        width: Count = 512,
        depth: Count = 12,
        num_heads: Count = 16,
        num_prefix_tokens: Natural = 1,
        in_channels: Count = 3,
        out_dim: Count | None = None,
    ) -> None:
        super().__init__()
        check_width(width, num_heads)
        self.num_prefix_tokens = num_prefix_tokens
        self.wfm = WeightedFeatureMaps(num_maps, depth)
        self.dec_norms = nn.ModuleList(NORM(encoder_dim) for _ in range(depth))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        # As in MAE it has rows for prefix tokens; no query uses them.
        self.decoder_pos_embed = fixed_positions(width, grid_size, num_prefix_tokens)
        self.decoder_blocks = nn.ModuleList(
            CrossAttentionBlock(width, encoder_dim, num_heads) for _ in range(depth)
        )
        self.decoder_norm = NORM(width)
        self.decoder_pred = nn.Linear(width, out_dim or patch_size**2 * in_channels)
        initialise_like_mae(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, maps: Sequence[Tensor], ids: Tensor) -> Tensor:
        """Predict the patches `ids`, B×Q, in this order: B×Q×(P·P·C), or B×Q×out_dim.

        Args:
            maps: `num_maps` tensors B×(prefix + K)×D, visible tokens at each depth of the encoder.
        """
        positions = self.decoder_pos_embed[0, self.num_prefix_tokens :]
        queries = self.mask_token + positions[ids]
        for block, norm, mixture in zip(self.decoder_blocks, self.dec_norms, self.wfm(maps)):
            queries = block(queries, norm(mixture))
        return self.decoder_pred(self.decoder_norm(queries))
