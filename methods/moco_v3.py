"""MoCo v3: An Empirical Study of Training Self-Supervised Vision Transformers (Chen et al., 2021).

Two views of a frame are each other's positives, the views of all other frames of the batch the
negatives: L = 2T · [InfoNCE(q₁, k₂) + InfoNCE(q₂, k₁)], q from encoder, projector and predictor,
k from the moving average of encoder and projector. The patch embedding keeps its random values,
which keeps training stable (§4.2).

What differs from facebookresearch/moco-v3: views are cut with the bicubic kernel of all other
methods, not the bilinear one; the halves of the fixed position table are in MAE's order, which is
an order of channels in front of random weights.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from benchmark.method import Method, Progress
from benchmark.nn.ema import ExponentialMovingAverage
from benchmark.nn.objectives.contrastive import info_nce
from benchmark.nn.projection import ProjectionMLP
from benchmark.nn.state_dict_names import Rules, translate
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import METHODS, build
from benchmark.type_hints import Positive
from methods.mae import Part

# From the names of the official checkpoint (key `state_dict`) to ours. Its projector takes the
# place of the ViT's head.
OFFICIAL_NAMES: Rules = (
    (r"module\.base_encoder\.head\.", "projector."),
    (r"module\.base_encoder\.", "encoder."),
    (r"module\.momentum_encoder\.head\.", "momentum_projector.module."),
    (r"module\.momentum_encoder\.", "momentum_encoder.module."),
    (r"module\.predictor\.", "predictor."),
)


def official_keys(name: str) -> str | None:
    """Our name of a tensor of the official checkpoint."""
    return translate(name, OFFICIAL_NAMES)


@METHODS.register_module()
class MoCoV3(Method):
    """Momentum contrast without a queue. The base encoder is exported.

    Args:
        views: maker of two views per frame, ``image_0`` and ``image_1``.
        encoder: ViT with a CLS token.
        projector: `ProjectionMLP` on CLS.
        predictor: `ProjectionMLP` on the projection.
        momentum: of the averaged encoder and projector, ``momentum(progress) -> m``.
        temperature: T.
        freeze_patch_embed: keep the patch embedding at its random values (`stop_grad_conv1`).
    """

    cross_sample: ClassVar[bool] = True
    encoder: VisionTransformer
    projector: ProjectionMLP

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
        encoder: Part,
        projector: Part,
        predictor: Part,
        momentum: Any,
        temperature: Positive = 0.2,
        freeze_patch_embed: bool = True,
    ) -> None:
        super().__init__(views)
        self.encoder = build(encoder)
        self.projector = build(projector, in_dim=self.encoder.embed_dim)
        self.predictor = build(
            predictor, in_dim=self.projector.out_dim, out_dim=self.projector.out_dim
        )
        self.temperature = temperature
        initialise_like_moco(self.encoder)
        if freeze_patch_embed:
            self.encoder.patch_embed.requires_grad_(False)
        # In training mode like the method: keys are normalised by the statistics of the batch, and
        # the running statistics are not averaged.
        following = dict(momentum=build(momentum), evaluate=False, buffers="keep")
        self.momentum_encoder = ExponentialMovingAverage(self.encoder, **following)
        self.momentum_projector = ExponentialMovingAverage(self.projector, **following)

    def query(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """q, B×out_dim, and the CLS token it is made of, B×D."""
        token = self.encoder(images)[:, 0]
        return self.predictor(self.projector(token)), token

    @torch.no_grad()
    def key(self, images: Tensor) -> Tensor:
        """k, B×out_dim."""
        return self.momentum_projector(self.momentum_encoder(images)[:, 0])

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        first, second = views["image_0"], views["image_1"]
        query_1, token = self.query(first)
        query_2, _ = self.query(second)
        key_1, key_2 = self.key(first), self.key(second)

        contrast = info_nce(query_1, key_2, self.temperature)
        contrast = contrast + info_nce(query_2, key_1, self.temperature)
        self.observe(token)
        # 2T makes up for the size of the gradients, which depends on T (§3).
        return {"loss_contrast": 2 * self.temperature * contrast}

    def after_step(self, progress: Progress) -> None:
        # The official code averages before it computes the keys of the next step, with that step's
        # momentum; nothing happens in between.
        following = replace(progress, step=progress.step + 1)
        self.momentum_encoder.update(self.encoder, following)
        self.momentum_projector.update(self.projector, following)


def initialise_like_moco(encoder: VisionTransformer) -> None:
    """Xavier-uniform as MAE, but query, key and value one by one; CLS starts close to zero."""
    for block in encoder.blocks:
        nn.init.uniform_(block.attn.qkv.weight, *_xavier_range(encoder.embed_dim))
    if encoder.cls_token is not None:
        nn.init.normal_(encoder.cls_token, std=1e-6)


def _xavier_range(width: int) -> tuple[float, float]:
    """Of a square matrix: one of the three that `qkv` holds."""
    bound = math.sqrt(6 / (width + width))
    return -bound, bound
