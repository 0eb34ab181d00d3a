"""Decoders from encoder tokens to patches: MAE's narrow ViT and SimMIM's linear head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.nn.decoders.layers import NORM, check_width, fixed_positions, transformer_blocks
from benchmark.nn.tokens import fill_with_mask_tokens, gather_tokens
from benchmark.nn.vit import initialise_like_mae
from benchmark.registry import DECODERS
from benchmark.type_hints import Count, Natural


@DECODERS.register_module()
class MAEDecoder(nn.Module):
    """The decoder of MAE (He et al., CVPR 2022): a narrow ViT over visible and mask tokens.

    Attribute names are those of the official checkpoint (`decoder_embed`, `mask_token`,
    `decoder_pos_embed`, `decoder_blocks`, `decoder_norm`, `decoder_pred`).

    Args:
        encoder_dim: width of the incoming tokens.
        grid_size: rows and columns of patches.
        patch_size: side of a patch in pixels.
        width: token width of the decoder, a multiple of 4 and of `num_heads`.
        depth: number of blocks; 0 for a linear decoder after the embedding.
        num_heads: attention heads per block.
        num_prefix_tokens: leading tokens that are not patches (CLS); they pass through.
        in_channels: channels of a predicted patch.
        out_dim: values to predict per patch; None for its P·P·C pixels.
    """

    def __init__(
        self,
        encoder_dim: Count,
        grid_size: tuple[int, int],
        patch_size: Count,
        width: Count = 512,
        depth: Count = 8,
        num_heads: Count = 16,
        num_prefix_tokens: Natural = 1,
        in_channels: Count = 3,
        out_dim: Count | None = None,
    ) -> None:
        super().__init__()
        check_width(width, num_heads)
        self.num_prefix_tokens = num_prefix_tokens
        self.decoder_embed = nn.Linear(encoder_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.decoder_pos_embed = fixed_positions(width, grid_size, num_prefix_tokens)
        self.decoder_blocks = transformer_blocks(width, depth, num_heads)
        self.decoder_norm = NORM(width)
        self.decoder_pred = nn.Linear(width, out_dim or patch_size**2 * in_channels)
        initialise_like_mae(self)
        nn.init.normal_(self.mask_token, std=0.02)
        self._add_branches(width, depth, num_heads)

    def _add_branches(self, width: int, depth: int, num_heads: int) -> None:
        """Build what a subclass decodes from the same tokens."""

    def embed(self, latent: Tensor, ids_restore: Tensor) -> Tensor:
        """Visible and mask tokens with positions, B×(prefix + N)×width; see `forward`."""
        tokens = self.decoder_embed(latent)
        tokens = fill_with_mask_tokens(tokens, self.mask_token, ids_restore, self.num_prefix_tokens)
        return tokens + self.decoder_pos_embed

    def forward(
        self, latent: Tensor, ids_restore: Tensor, ids_decode: Tensor | None = None
    ) -> Tensor:
        """Predict every patch.

        Args:
            latent: encoder output, B×(prefix + K)×D; K = N for an unmasked image.
            ids_restore: B×N, position of each patch in [visible | masked] order.
            ids_decode: B×M, the patches to decode; the others are dropped before the first block,
                and their prediction is 0. None decodes all patches.

        Returns:
            B×N×(P·P·C), or B×N×out_dim, in raster order.
        """
        tokens = self.embed(latent, ids_restore)
        if ids_decode is not None:
            # After positions were added, so each token keeps its own.
            prefix = tokens[:, : self.num_prefix_tokens]
            patches = gather_tokens(tokens[:, self.num_prefix_tokens :], ids_decode)
            tokens = torch.cat([prefix, patches], dim=1)
        for block in self.decoder_blocks:
            tokens = block(tokens)
        tokens = self.decoder_pred(self.decoder_norm(tokens))
        predicted = tokens[:, self.num_prefix_tokens :]
        if ids_decode is None:
            return predicted
        zeros = predicted.new_zeros(len(predicted), ids_restore.shape[1], predicted.shape[2])
        return zeros.scatter(1, ids_decode[..., None].expand_as(predicted), predicted)


@DECODERS.register_module()
class LinearDecoder(nn.Module):
    """The head of SimMIM (Xie et al., CVPR 2022, §3.4): one linear layer from a token to its patch.

    Equivalent to the 1×1 convolution and pixel shuffle of the official head, with the rows of the
    weight in (row, column, channel) order, as in our patches, instead of (channel, row, column).

    The arguments are those of `MAEDecoder`.
    """

    def __init__(
        self,
        encoder_dim: Count,
        patch_size: Count,
        in_channels: Count = 3,
        out_dim: Count | None = None,
    ) -> None:
        super().__init__()
        self.pred = nn.Linear(encoder_dim, out_dim or patch_size**2 * in_channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """Patch tokens, B×N×D, to B×N×(P·P·C) or B×N×out_dim."""
        return self.pred(tokens)
