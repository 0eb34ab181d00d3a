"""Decoders that turn encoder tokens back into patches."""

from __future__ import annotations

from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmark.nn.vit import initialise_like_mae, sincos_position_embedding
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
        width: token width of the decoder.
        depth: number of blocks; 0 leaves a linear map behind the embedding.
        num_heads: attention heads per block.
        num_prefix_tokens: leading tokens that are not patches (CLS); they pass through.
        in_channels: channels of a patch to predict.
        out_dim: values to predict for a patch, where they are not its P·P·C pixels.
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
        self.num_prefix_tokens = num_prefix_tokens
        self.decoder_embed = nn.Linear(encoder_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        table = sincos_position_embedding(width, grid_size)
        prefix = torch.zeros(num_prefix_tokens, width)
        self.decoder_pos_embed = nn.Parameter(torch.cat([prefix, table])[None], requires_grad=False)
        norm_layer = partial(nn.LayerNorm, eps=1e-6)
        self.decoder_blocks = nn.ModuleList(
            Block(width, num_heads, 4.0, qkv_bias=True, norm_layer=norm_layer) for _ in range(depth)
        )
        self.decoder_norm = norm_layer(width)
        out_dim = patch_size**2 * in_channels if out_dim is None else out_dim
        self.decoder_pred = nn.Linear(width, out_dim)
        initialise_like_mae(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self, latent: Tensor, ids_restore: Tensor, ids_decode: Tensor | None = None
    ) -> Tensor:
        """Predict every patch.

        Args:
            latent: encoder output, B×(prefix + K)×D.
            ids_restore: B×N, position of each patch in [visible | masked] order.
            ids_decode: B×M, the patches that take part; the others are thrown away before the
                first block, and nothing (0) is predicted for them. All take part if None.

        Returns:
            B×N×(P·P·C), or B×N×out_dim, in raster order.
        """
        tokens = self.decoder_embed(latent)
        prefix, visible = tokens.split(
            [self.num_prefix_tokens, tokens.shape[1] - self.num_prefix_tokens], dim=1
        )
        masked = ids_restore.shape[1] - visible.shape[1]
        # Under autocast the linear layer's output is narrower than the parameter.
        mask_tokens = self.mask_token.to(visible.dtype).expand(len(visible), masked, -1)
        patches = torch.cat([visible, mask_tokens], dim=1)
        patches = patches.gather(1, ids_restore[..., None].expand(-1, -1, patches.shape[2]))
        tokens = torch.cat([prefix, patches], dim=1) + self.decoder_pos_embed
        if ids_decode is not None:
            # Positions are added before patches are dropped, so a token keeps its own place.
            prefix, patches = (
                tokens[:, : self.num_prefix_tokens],
                tokens[:, self.num_prefix_tokens :],
            )
            places = ids_decode[..., None].expand(-1, -1, patches.shape[2])
            tokens = torch.cat([prefix, patches.gather(1, places)], dim=1)
        for block in self.decoder_blocks:
            tokens = block(tokens)
        tokens = self.decoder_pred(self.decoder_norm(tokens))
        predicted = tokens[:, self.num_prefix_tokens :]
        if ids_decode is None:
            return predicted
        nothing = predicted.new_zeros(len(predicted), ids_restore.shape[1], predicted.shape[2])
        return nothing.scatter(1, ids_decode[..., None].expand_as(predicted), predicted)


@DECODERS.register_module()
class LinearDecoder(nn.Module):
    """The head of SimMIM (Xie et al., CVPR 2022, §3.4): one linear layer, for each token its patch.

    The official head is a 1×1 convolution and a pixel shuffle; both together are this layer, with
    the rows of its weight in the order (row, column, channel) of our patches instead of (channel,
    row, column).

    Args:
        encoder_dim: width of the tokens.
        patch_size: side of a patch in pixels.
        in_channels: channels of a patch to predict.
        out_dim: values to predict for a patch, where they are not its P·P·C pixels.
    """

    def __init__(
        self,
        encoder_dim: Count,
        patch_size: Count,
        in_channels: Count = 3,
        out_dim: Count | None = None,
    ) -> None:
        super().__init__()
        self.pred = nn.Linear(
            encoder_dim, patch_size**2 * in_channels if out_dim is None else out_dim
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Patch tokens, B×N×D, to B×N×(P·P·C)."""
        return self.pred(tokens)
