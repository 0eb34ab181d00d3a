"""SimMIM: A Simple Framework for Masked Image Modeling (Xie et al., CVPR 2022).

The encoder sees all patches, with mask tokens in place of the masked ones; one linear layer
predicts their pixels; the loss is the L1 error on them.

*Positions.* The official ViT has no absolute position embedding but a relative position bias that
all blocks share. Here the encoder is the plain ViT of all other methods, so that every row of a
leaderboard fine-tunes the same network: with learned absolute positions, as in the ViT on which
AMT's authors ran SimMIM. The key bias, which the official ViT omits, has no effect, as softmax is
invariant to it. There are no name rules for the released checkpoint: a plain ViT has no place for
its relative positions.

Crops are resampled with the bicubic kernel of all other methods instead of the bilinear one.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.nn.decoders.mae import LinearDecoder
from benchmark.nn.masking.random import Mask
from benchmark.nn.objectives.base import Reconstruction
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import METHODS
from methods.mae import MAE


@METHODS.register_module()
class SimMIM(MAE):
    """Masked image model with a mask token in the encoder and a linear head.

    Args:
        views, masking, objective: as in `MAE`.
        encoder: ViT; `layer_scale` 0.1 and `drop_path` 0.1 in the official recipe.
        decoder: predicts every patch from its own token.
    """

    decoder: LinearDecoder

    def decoder_arguments(self) -> dict[str, Any]:
        return {}

    def initialise(self) -> None:
        self.mask_token = nn.Parameter(torch.zeros(1, 1, self.encoder.embed_dim))
        initialise_like_simmim(self.encoder)
        truncated_normal_(self.mask_token)

    def reconstruct(self, images: Tensor, mask: Mask) -> Reconstruction:
        encoder = self.encoder
        tokens = encoder.embed(images, replace=(mask.mask, self.mask_token))
        tokens = encoder.norm(encoder.layers(tokens)[-1])
        self.observe(tokens.mean(dim=1))
        prediction = self.decoder(tokens[:, encoder.num_prefix_tokens :])
        return Reconstruction(prediction, mask, encoder.patch_size, encoder.grid_size)


def truncated_normal_(weight: Tensor) -> None:
    """Normal of std 0.02 truncated at one standard deviation, as in the official code.

    The values that are left have a standard deviation of 0.0108.
    """
    nn.init.trunc_normal_(weight, std=0.02, a=-0.02, b=0.02)


def initialise_like_simmim(encoder: VisionTransformer) -> None:
    """`truncated_normal_`, biases 0; the output layers of block i are divided by √(2(i + 1)).

    Fixed positions keep their values.
    """
    tokens = (encoder.cls_token, encoder.pos_embed)
    with torch.no_grad():
        for parameter in tokens:
            if parameter is not None and parameter.requires_grad:
                truncated_normal_(parameter)
        for layer in encoder.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                truncated_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
        for number, block in enumerate(encoder.blocks):
            for layer in (block.attn.proj, block.mlp.fc2):
                layer.weight.div_(math.sqrt(2 * (number + 1)))
