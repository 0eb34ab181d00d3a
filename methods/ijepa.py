"""I-JEPA: Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture.

(Assran et al., CVPR 2023.) From the *features* of a large context block, a predictor predicts the
features of several target blocks, which the target encoder, an EMA of the encoder, computes from
the full image. There is neither pixel reconstruction nor a comparison of views.

Differences from facebookresearch/ijepa: the context length of a step is the smallest of a reference
batch instead of the batch itself (`benchmark.nn.masking.jepa`); crops are resampled with the
bicubic kernel of all other methods instead of the bilinear one. The paper states an L2 loss; the
code, which trained all published weights, uses the smooth L1 loss to targets normalised over their
channels, and so does the config.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Method, Progress
from benchmark.nn.decoders.feature_predictors import JEPAPredictor, initialise_like_jepa
from benchmark.nn.ema import ExponentialMovingAverage
from benchmark.nn.masking.jepa import MultiblockMasking
from benchmark.nn.state_dict_names import Rules
from benchmark.nn.tokens import gather_tokens
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import METHODS, build
from methods.mae import Part

# From the names of the official checkpoint to ours, each prefixed by the key of its dictionary:
# `encoder`, `predictor` and `target_encoder`.
OFFICIAL_NAMES: Rules = (
    (r"target_encoder\.(module\.)?", "target_encoder.module."),
    (r"(encoder|predictor)\.(module\.)?", r"\1."),
)

DISTANCES = {"smooth_l1": F.smooth_l1_loss, "squared": F.mse_loss}


@METHODS.register_module()
class IJEPA(Method):
    """Image-based joint-embedding predictive architecture; the target encoder is exported.

    Args:
        views: maker of one view per frame.
        encoder: ViT without a CLS token.
        predictor: `JEPAPredictor`, with as many heads as the encoder.
        masking: `MultiblockMasking`: context and targets. Its ``official_code`` is the only switch
            to the released code where that deviates from the paper.
        momentum: momentum of the target encoder, ``momentum(progress) -> m``.
        distance: loss between prediction and target, averaged over channels, patches and images:
            ``"smooth_l1"`` (β = 1) or ``"squared"``.

    Raises:
        InputError: an encoder with a CLS token.
    """

    encoder: VisionTransformer
    predictor: JEPAPredictor
    masking: MultiblockMasking

    def __init__(
        self,
        views: Part,
        encoder: Part,
        predictor: Part,
        masking: Part,
        momentum: Any,
        distance: Literal["smooth_l1", "squared"] = "smooth_l1",
    ) -> None:
        super().__init__(views)
        self.encoder = build(encoder)
        if self.encoder.num_prefix_tokens:
            name = type(self).__name__
            raise InputError(f"{name}: encoder.class_token must be False, there is no CLS token")
        initialise_like_jepa(self.encoder)
        self.predictor = build(
            predictor,
            encoder_dim=self.encoder.embed_dim,
            grid_size=self.encoder.grid_size,
            num_heads=self.encoder.arguments["num_heads"],
        )
        self.masking = build(
            masking, num_patches=self.encoder.num_patches, patch_size=self.encoder.patch_size
        )
        self.target_encoder = ExponentialMovingAverage(self.encoder, momentum)
        self.distance = DISTANCES[distance]

    @torch.no_grad()
    def targets(self, images: Tensor) -> Tensor:
        """Target features of every patch of the full image, normalised over channels; B×N×D."""
        features = self.target_encoder(images)
        self.observe(features.mean(dim=1))
        return F.layer_norm(features, features.shape[-1:])

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        images = views["image"]
        blocks = self.masking(views, progress)
        targets = gather_tokens(self.targets(images), blocks.targets)
        context = self.encoder(images, blocks.context)
        predicted = self.predictor(context, blocks.context, blocks.targets)
        return {"loss_prediction": self.distance(predicted, targets)}

    def after_step(self, progress: Progress) -> None:
        self.target_encoder.update(self.encoder, progress)

    def exports(self) -> dict[str, nn.Module]:
        return {"encoder": self.target_encoder.module}
