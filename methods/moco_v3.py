"""MoCo v3: An Empirical Study of Training Self-Supervised Vision Transformers (Chen et al., 2021).

Two views of a frame are a positive pair, views of other frames in the batch are negatives:
L = 2T · [InfoNCE(q₁, k₂) + InfoNCE(q₂, k₁)], with queries q from encoder, projector and predictor,
and keys k from the momentum encoder and projector. For stability, the patch embedding is random and
frozen (§4.2).

Differences from facebookresearch/moco-v3: crops are resampled with the bicubic kernel of all other
methods instead of the bilinear one; the halves of the fixed position embedding are in MAE's order,
which only permutes channels before randomly initialised weights.

The official code trains in fp16, this one in bf16, whose rounding errors are eight times larger.
The gradient is sensitive to them, whichever part is computed in fp32 ("What bf16 changes" in
`docs/training.md`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from benchmark.method import Method, Progress
from benchmark.nn.ema import ExponentialMovingAverage
from benchmark.nn.objectives.contrastive import info_nce
from benchmark.nn.projection import ProjectionMLP
from benchmark.nn.state_dict_names import Rules
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import METHODS, build
from benchmark.type_hints import Positive
from methods.mae import Part

# From the names of the official checkpoint (key `state_dict`) to ours; its projector is the ViT's
# `head`.
OFFICIAL_NAMES: Rules = (
    (r"module\.base_encoder\.head\.", "projector."),
    (r"module\.base_encoder\.", "encoder."),
    (r"module\.momentum_encoder\.head\.", "momentum_projector.module."),
    (r"module\.momentum_encoder\.", "momentum_encoder.module."),
    (r"module\.predictor\.", "predictor."),
)


@METHODS.register_module()
class MoCoV3(Method):
    """Momentum contrast without a queue; the base encoder is exported.

    Args:
        views: maker of two views per frame, ``image_0`` and ``image_1``.
        encoder: ViT with a CLS token.
        projector: `ProjectionMLP` on CLS.
        predictor: `ProjectionMLP` on the projection.
        momentum: momentum of encoder and projector, ``momentum(progress) -> m``.
        temperature: T.
        freeze_patch_embed: freeze the random patch embedding (`stop_grad_conv1`).
    """

    cross_sample: ClassVar[bool] = True
    encoder: VisionTransformer
    projector: ProjectionMLP

    def __init__(
        self,
        views: Part,
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
        # In training mode, so that keys are normalised by batch statistics; running statistics are
        # not averaged.
        ema = dict(momentum=build(momentum), evaluate=False, buffers="keep")
        self.momentum_encoder = ExponentialMovingAverage(self.encoder, **ema)
        self.momentum_projector = ExponentialMovingAverage(self.projector, **ema)

    def query(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Query q, B×out_dim, and the CLS token it is computed from, B×D."""
        token = self.encoder(images)[:, 0]
        return self.predictor(self.projector(token)), token

    @torch.no_grad()
    def key(self, images: Tensor) -> Tensor:
        """Key k, B×out_dim."""
        return self.momentum_projector(self.momentum_encoder(images)[:, 0])

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        first, second = views["image_0"], views["image_1"]
        query_1, token = self.query(first)
        query_2, _ = self.query(second)
        key_1, key_2 = self.key(first), self.key(second)

        contrast = info_nce(query_1, key_2, self.temperature)
        contrast = contrast + info_nce(query_2, key_1, self.temperature)
        self.observe(token)
        # 2T compensates for the gradient scale, which depends on T (§3).
        return {"loss_contrast": 2 * self.temperature * contrast}

    def after_step(self, progress: Progress) -> None:
        # The official code updates before it computes the keys of the next step, with the momentum
        # of that step.
        next_step = replace(progress, step=progress.step + 1)
        self.momentum_encoder.update(self.encoder, next_step)
        self.momentum_projector.update(self.projector, next_step)


def initialise_like_moco(encoder: VisionTransformer) -> None:
    """Xavier-uniform for each of query, key and value separately; CLS normal, std 1e-6.

    The bias of the patch embedding is 0, unlike in MAE.
    """
    nn.init.zeros_(encoder.patch_embed.proj.bias)
    bound = math.sqrt(6 / (encoder.embed_dim + encoder.embed_dim))
    for block in encoder.blocks:
        nn.init.uniform_(block.attn.qkv.weight, -bound, bound)
    if encoder.cls_token is not None:
        nn.init.normal_(encoder.cls_token, std=1e-6)
