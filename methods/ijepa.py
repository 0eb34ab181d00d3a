"""I-JEPA: Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture.

(Assran et al., CVPR 2023.) From the *features* of one large block of an image, its context, the
features of some smaller blocks are predicted, as a slowly moving average of the encoder computes
them from the whole image. Neither pixels are reconstructed nor views compared.

What differs from facebookresearch/ijepa: all images of a step have as many context patches as the
smallest of a reference batch, not of their own (`benchmark.nn.masking.jepa`); views are cut with
the bicubic kernel of all other methods, not the bilinear one. The paper writes the loss as a
squared distance; the code, which has trained all published weights, takes the smooth L1 distance to
targets that are normalised over their channels, and so does the config.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Method, Progress
from benchmark.nn.decoders.feature_predictors import JEPAPredictor, initialise_like_jepa, select
from benchmark.nn.ema import ExponentialMovingAverage
from benchmark.nn.masking.jepa import MultiblockMasking
from benchmark.nn.state_dict_names import Rules, translate
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import METHODS, build
from methods.mae import Part

# From the names of the official checkpoint to ours, each behind the key of its dictionary:
# `encoder`, `predictor` and `target_encoder`.
OFFICIAL_NAMES: Rules = (
    (r"target_encoder\.(module\.)?", "target_encoder.module."),
    (r"(encoder|predictor)\.(module\.)?", r"\1."),
)

DISTANCES = {"smooth_l1": F.smooth_l1_loss, "squared": F.mse_loss}


def official_keys(name: str) -> str | None:
    """Our name of a tensor of the official checkpoint, e.g. of ``encoder.module.norm.bias``."""
    return translate(name, OFFICIAL_NAMES)


@METHODS.register_module()
class IJEPA(Method):
    """Image-based joint-embedding predictive architecture. The target encoder is exported.

    Args:
        views: maker of one view per frame.
        encoder: ViT without a CLS token.
        predictor: `JEPAPredictor`; it has as many heads as the encoder.
        masking: `MultiblockMasking`: context and targets. The one switch to the released code where
            it deviates from the paper is its ``official_code``.
        momentum: of the target encoder, ``momentum(progress) -> m``.
        distance: of prediction and target, a mean over channels, patches and images:
            ``"smooth_l1"`` (β = 1) or ``"squared"``.

    Raises:
        InputError: an encoder with a CLS token, or an unknown distance.
    """

    encoder: VisionTransformer
    predictor: JEPAPredictor
    masking: MultiblockMasking

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
        encoder: Part,
        predictor: Part,
        masking: Part,
        momentum: Any,
        distance: str = "smooth_l1",
    ) -> None:
        super().__init__(views)
        name = type(self).__name__
        if distance not in DISTANCES:
            raise InputError(f"{name}: distance={distance!r} is not one of {', '.join(DISTANCES)}")
        self.encoder = build(encoder)
        if self.encoder.num_prefix_tokens:
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
        """Features of every patch, from the whole image: zero mean, unit variance; B×N×D."""
        features = self.target_encoder(images)
        self.observe(features.mean(dim=1))
        return F.layer_norm(features, features.shape[-1:])

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        images = views["image"]
        blocks = self.masking(views, progress)
        targets = select(self.targets(images), blocks.targets)
        context = self.encoder(images, blocks.context)
        predicted = self.predictor(context, blocks.context, blocks.targets)
        return {"loss_prediction": self.distance(predicted, targets)}

    def after_step(self, progress: Progress) -> None:
        self.target_encoder.update(self.encoder, progress)

    def exports(self) -> dict[str, nn.Module]:
        return {"encoder": self.target_encoder.module}
