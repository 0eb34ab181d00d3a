"""SimMIM: A Simple Framework for Masked Image Modeling (Xie et al., CVPR 2022).

The encoder sees all patches, with a mask token in the place of the masked ones; one linear layer
predicts their pixels; the loss is the absolute error on them.

*Positions.* The official ViT has no absolute positions but one table of relative position biases
that all blocks share. Here the encoder is the plain ViT of all other methods, so that every row of
a board fine-tunes the same network: with a learned table of absolute positions, as in the ViT on
which AMT's authors ran SimMIM. The bias of the keys that the official ViT leaves out changes
nothing, since a softmax does not see what is added to all of its inputs. For the same reason there
is no key rule for the released checkpoint: its positions have no place in a plain ViT, and a
conversion would lose them without a word.

The views are cut with the bicubic kernel of all other methods, not the bilinear one of the code.
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
        views: maker of one masked view per frame.
        encoder: ViT; `layer_scale` 0.1 and `drop_path` 0.1 in the official recipe.
        decoder: predicts every patch from its own token.
        masking: which patches are hidden.
        objective: what the prediction is compared with; a list adds several up.
    """

    decoder: LinearDecoder

    def tokens_to_decode(self) -> dict[str, Any]:
        return {}

    def initialise(self) -> None:
        self.mask_token = nn.Parameter(torch.zeros(1, 1, self.encoder.embed_dim))
        initialise_like_simmim(self.encoder)
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)

    def reconstruct(self, images: Tensor, mask: Mask) -> Reconstruction:
        encoder = self.encoder
        tokens = encoder.embed(images, replace=(mask.mask, self.mask_token))
        tokens = encoder.norm(encoder.layers(tokens)[-1])
        self.observe(tokens.mean(dim=1))
        prediction = self.decoder(tokens[:, encoder.num_prefix_tokens :])
        return Reconstruction(prediction, mask, encoder.patch_size, encoder.grid_size)


def initialise_like_simmim(encoder: VisionTransformer) -> None:
    """Truncated normal, std 0.02, everywhere; the last layers of block i divided by √(2(i + 1)).

    Positions that are not trained keep their values.
    """
    tokens = (encoder.cls_token, encoder.pos_embed)
    with torch.no_grad():
        for parameter in tokens:
            if parameter is not None and parameter.requires_grad:
                nn.init.trunc_normal_(parameter, std=0.02)
        for layer in encoder.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        for number, block in enumerate(encoder.blocks):
            for layer in (block.attn.proj, block.mlp.fc2):
                layer.weight.div_(math.sqrt(2 * (number + 1)))
