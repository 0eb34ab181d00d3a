"""Loss prediction of HPM (Wang et al., CVPR 2023, §3.2): decoder and losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.nn.decoders.layers import NORM, transformer_blocks
from benchmark.nn.decoders.mae import MAEDecoder
from benchmark.nn.vit import initialise_like_mae
from benchmark.registry import DECODERS, OBJECTIVES


@DECODERS.register_module()
class LossPredictingDecoder(MAEDecoder):
    """The two decoders of HPM: MAE's, which reconstructs, and a loss predictor of the same size.

    Both decode the same tokens: embedding, mask token and positions are shared. As in the released
    code, the predicted loss of a patch is the mean of P·P·C outputs; attribute names are those of
    its checkpoints (`decoder_blocks_losspred`, …). The arguments are those of `MAEDecoder`.
    """

    def _add_branches(self, width: int, depth: int, num_heads: int) -> None:
        self.decoder_blocks_losspred = transformer_blocks(width, depth, num_heads)
        self.decoder_norm_losspred = NORM(width)
        self.decoder_pred_losspred = nn.Linear(width, self.decoder_pred.out_features)
        for part in (self.decoder_blocks_losspred, self.decoder_pred_losspred):
            initialise_like_mae(part)

    def predict_loss(self, latent: Tensor, ids_restore: Tensor) -> Tensor:
        """Predicted loss of each patch, on any scale; B×N float32, in raster order."""
        tokens = self.embed(latent, ids_restore)
        for block in self.decoder_blocks_losspred:
            tokens = block(tokens)
        scores = self.decoder_pred_losspred(self.decoder_norm_losspred(tokens))
        # In half precision the means of many patches would tie.
        return scores[:, self.num_prefix_tokens :].float().mean(dim=-1)


@OBJECTIVES.register_module()
class RelativeLossPrediction(nn.Module):
    """Relative loss prediction: L_pred of HPM, which ranks the patches by their loss.

    Over all ordered pairs (i, j) of patches of an image, the binary cross-entropy between
    σ(predicted_j − predicted_i) and the indicator that patch j has a larger loss than patch i;
    ties are ignored. Only the order of the true losses matters, so the predictor cannot overfit to
    their scale, which shrinks during training.

    The released code computes log(σ + 1e-6) instead of log σ. The two agree on confidently correct
    pairs; on confidently wrong pairs the released form saturates at 13.8 and its gradient vanishes.

    Args:
        official_code: compute the released form.
    """

    def __init__(self, official_code: bool = False) -> None:
        super().__init__()
        self.official_code = official_code

    def forward(self, predicted: Tensor, loss: Tensor) -> Tensor:
        """Mean over all pairs of the batch, of predicted and true losses, both B×M."""
        loss, predicted = loss.detach(), predicted.float()
        order = torch.sign(loss[:, None, :] - loss[:, :, None])
        # Pairs (j, i) and (i, j) contribute equally: both signs flip.
        margin = order * (predicted[:, None, :] - predicted[:, :, None])
        if self.official_code:
            entropy = -torch.log(torch.sigmoid(margin) + 1e-6)
        else:
            entropy = F.softplus(-margin)
        untied = order.abs()
        return (entropy * untied).sum() / untied.sum().clamp_min(1)
