"""A decoder whose queries look at the visible patches but not at each other (CrossMAE)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from timm.layers import Mlp
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.vit import initialise_like_mae, sincos_position_embedding
from benchmark.registry import DECODERS
from benchmark.type_hints import Count, Natural


class CrossAttention(nn.Module):
    """Multi-head attention from one sequence to another of another width.

    Args:
        query_dim: width of the queries and of the result; a multiple of `num_heads`.
        context_dim: width of what is attended to.
        num_heads: attention heads.
    """

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
    """x ← x + CrossAttn(LN x, y), then x ← x + MLP(LN x): no self-attention.

    Args:
        width: width of x.
        context_dim: width of y.
        num_heads: attention heads.
    """

    def __init__(self, width: int, context_dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.cross_attn = CrossAttention(width, context_dim, num_heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """x: B×Q×width; y: B×T×context_dim; returns B×Q×width."""
        x = x + self.cross_attn(self.norm1(x), y)
        return x + self.mlp(self.norm2(x))


class WeightedFeatureMaps(nn.Module):
    """Learned mixtures of feature maps, one for each decoder block (CrossMAE, §3.4).

    Args:
        num_maps: maps to mix.
        num_mixtures: mixtures to make.
    """

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
    of the encoder's feature maps, behind its own LayerNorm. A position is predicted independently
    of all others, so that only some of the masked patches need to be decoded.

    Attribute names are those of the official checkpoint.

    Args:
        encoder_dim: width of the feature maps.
        grid_size: rows and columns of patches.
        patch_size: side of a patch in pixels.
        num_maps: feature maps that are mixed: the encoder's input and the output of each block.
        width: token width of the decoder; a multiple of 4 and of `num_heads`.
        depth: number of blocks.
        num_heads: attention heads per block.
        num_prefix_tokens: leading tokens that are not patches (CLS); they are attended to.
        in_channels: channels of a patch to predict.
        out_dim: values to predict for a patch, where they are not its P·P·C pixels.

    Raises:
        InputError: `width` does not divide.
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
        if width % num_heads or width % 4:
            raise InputError(f"decoder: width={width} must be a multiple of 4 and of num_heads")
        self.num_prefix_tokens = num_prefix_tokens
        norm_layer = partial(nn.LayerNorm, eps=1e-6)
        self.wfm = WeightedFeatureMaps(num_maps, depth)
        self.dec_norms = nn.ModuleList(norm_layer(encoder_dim) for _ in range(depth))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        table = sincos_position_embedding(width, grid_size)
        # Like MAE's table it has rows for prefix tokens, which no query is.
        prefix = torch.zeros(num_prefix_tokens, width)
        self.decoder_pos_embed = nn.Parameter(torch.cat([prefix, table])[None], requires_grad=False)
        self.decoder_blocks = nn.ModuleList(
            CrossAttentionBlock(width, encoder_dim, num_heads) for _ in range(depth)
        )
        self.decoder_norm = norm_layer(width)
        out_dim = patch_size**2 * in_channels if out_dim is None else out_dim
        self.decoder_pred = nn.Linear(width, out_dim)
        initialise_like_mae(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, maps: Sequence[Tensor], ids: Tensor) -> Tensor:
        """Predict some patches.

        Args:
            maps: `num_maps` tensors B×(prefix + K)×D, the visible tokens at each depth.
            ids: B×Q, the patches to predict.

        Returns:
            B×Q×(P·P·C), or B×Q×out_dim, in the order of `ids`.
        """
        positions = self.decoder_pos_embed[0, self.num_prefix_tokens :]
        queries = self.mask_token + positions[ids]
        for block, norm, mixture in zip(self.decoder_blocks, self.dec_norms, self.wfm(maps)):
            queries = block(queries, norm(mixture))
        return self.decoder_pred(self.decoder_norm(queries))
