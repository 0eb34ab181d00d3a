"""Predicting where reconstruction will be hard (HPM, Wang et al., CVPR 2023, §3.2)."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmark.nn.decoders.mae import MAEDecoder
from benchmark.nn.mask_tokens import fill_with_mask_tokens
from benchmark.nn.patches import PATCH_EPS
from benchmark.nn.vit import initialise_like_mae
from benchmark.registry import DECODERS, OBJECTIVES
from benchmark.type_hints import Count, Natural


@DECODERS.register_module()
class LossPredictingDecoder(MAEDecoder):
    """The two decoders of HPM: the reconstructor, which is MAE's, and a loss predictor beside it.

    Both are of the same size and read the same tokens: embedding, mask token and positions are
    shared. The predictor's output of a patch is the mean of P·P·C numbers, as in the released code;
    attribute names are those of its checkpoints (`decoder_blocks_losspred`, …).

    Args:
        encoder_dim, grid_size, patch_size, num_prefix_tokens, in_channels: see `MAEDecoder`.
        width, depth, num_heads, out_dim: see `MAEDecoder`; those of either decoder.
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
        super().__init__(
            encoder_dim=encoder_dim,
            grid_size=grid_size,
            patch_size=patch_size,
            width=width,
            depth=depth,
            num_heads=num_heads,
            num_prefix_tokens=num_prefix_tokens,
            in_channels=in_channels,
            out_dim=out_dim,
        )
        norm_layer = partial(nn.LayerNorm, eps=1e-6)
        self.decoder_blocks_losspred = nn.ModuleList(
            Block(width, num_heads, 4.0, qkv_bias=True, norm_layer=norm_layer) for _ in range(depth)
        )
        self.decoder_norm_losspred = norm_layer(width)
        self.decoder_pred_losspred = nn.Linear(width, self.decoder_pred.out_features)
        for part in (self.decoder_blocks_losspred, self.decoder_pred_losspred):
            initialise_like_mae(part)

    def predict_loss(self, latent: Tensor, ids_restore: Tensor) -> Tensor:
        """How hard each patch will be, on a scale of its own; B×N float32, in raster order.

        Args:
            latent: encoder output, B×(prefix + K)×D; K = N for an unmasked image.
            ids_restore: B×N, position of each patch in [visible | masked] order.
        """
        tokens = self.decoder_embed(latent)
        tokens = fill_with_mask_tokens(tokens, self.mask_token, ids_restore, self.num_prefix_tokens)
        tokens = tokens + self.decoder_pos_embed
        for block in self.decoder_blocks_losspred:
            tokens = block(tokens)
        scores = self.decoder_pred_losspred(self.decoder_norm_losspred(tokens))
        # In half precision the means of many patches would be equal.
        return scores[:, self.num_prefix_tokens :].float().mean(dim=-1)


@OBJECTIVES.register_module()
class RelativeLossPrediction(nn.Module):
    """Which of two patches has the larger loss: L_pred of HPM, in its relative form.

    Over all ordered pairs (i, j) of patches of an image, the binary cross-entropy of
    σ(predicted_j − predicted_i) with the indicator that patch j has the larger loss than patch i;
    pairs of equal loss do not count. Only the order of the true losses matters, so the predictor
    cannot overfit to their scale, which shrinks while training goes on.

    The released code computes log(σ + 1e-6) in place of log σ. Where a pair is ordered rightly
    beyond doubt the two agree; where it is ordered wrongly beyond doubt, the released form stops at
    13.8 and its gradient vanishes.

    Args:
        official_code: compute the released form.
    """

    def __init__(self, official_code: bool = False) -> None:
        super().__init__()
        self.official_code = official_code

    def forward(self, predicted: Tensor, loss: Tensor) -> Tensor:
        """Mean over all pairs of the batch.

        Args:
            predicted: B×M, any scale.
            loss: B×M, what is predicted; gets no gradient.
        """
        loss, predicted = loss.detach(), predicted.float()
        order = torch.sign(loss[:, None, :] - loss[:, :, None])
        # The pair (j, i) repeats the pair (i, j): both signs change.
        margin = order * (predicted[:, None, :] - predicted[:, :, None])
        if self.official_code:
            entropy = -torch.log(torch.sigmoid(margin) + 1e-6)
        else:
            entropy = F.softplus(-margin)
        counted = order.abs()
        return (entropy * counted).sum() / counted.sum().clamp_min(1)


@OBJECTIVES.register_module()
class AbsoluteLossPrediction(nn.Module):
    """The loss itself, normalised per image: L_pred of HPM in its absolute form (an ablation)."""

    def forward(self, predicted: Tensor, loss: Tensor) -> Tensor:
        """Mean squared error.

        Args:
            predicted: B×M.
            loss: B×M, what is predicted; gets no gradient. Normalised with the mean and the
                unbiased variance, floor 1e-6, over the patches of each image.
        """
        loss = loss.detach()
        deviation = (loss.var(dim=1, keepdim=True) + PATCH_EPS).sqrt()
        target = (loss - loss.mean(dim=1, keepdim=True)) / deviation
        return F.mse_loss(predicted.float(), target)
