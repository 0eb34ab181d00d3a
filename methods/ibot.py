"""iBOT: Image BERT Pre-Training with Online Tokenizer (Zhou et al., ICLR 2022).

DINO plus masked image modelling with the teacher as an online tokenizer: the student sees masked
global crops and matches, for every masked patch, the output of the teacher, which sees the unmasked
crop. CLS and patches share the head. L = λ₁·L_CLS + λ₂·L_MIM (equations 2 and 3).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmark.method import Progress
from benchmark.nn.masking.ibot import BlockwiseRatioMasking
from benchmark.nn.objectives.self_distillation import Centre, cross_entropy, teacher_targets
from benchmark.nn.state_dict_names import Rules
from benchmark.nn.tokens import gather_tokens
from benchmark.registry import METHODS, build
from benchmark.type_hints import Natural, Positive, Rate
from methods.dino import DINO, Part
from methods.dino import OFFICIAL_NAMES as DINO_NAMES

# From the names of the official checkpoint to ours. In all published recipes CLS and patches share
# one head, whose last layer is stored twice.
OFFICIAL_NAMES: Rules = (
    (r"(module\.)?head\.last_layer2\.", None),
    (r"module\.backbone\.masked_embed$", "masked_embed"),
    (r"center2$", "patch_centre.value"),
    *DINO_NAMES,
)


@METHODS.register_module()
class IBOT(DINO):
    """DINO with masked image modelling; the teacher's encoder is exported.

    Args:
        views, encoder, head, momentum, teacher_temperature, student_temperature, centre_momentum,
        freeze_last_layer: as in `DINO`.
        masking: `BlockwiseRatioMasking` of the global crops.
        patch_temperature: temperature schedule of the teacher for patches.
        class_weight: λ₁.
        patch_weight: λ₂.
    """

    masking: BlockwiseRatioMasking

    def __init__(
        self,
        views: Part,
        encoder: Part,
        head: Part,
        masking: Part,
        momentum: Any,
        teacher_temperature: Any,
        patch_temperature: Any,
        student_temperature: Positive = 0.1,
        centre_momentum: Rate = 0.9,
        freeze_last_layer: Natural = 1,
        class_weight: float = 1.0,
        patch_weight: float = 1.0,
    ) -> None:
        super().__init__(
            views,
            encoder,
            head,
            momentum,
            teacher_temperature,
            student_temperature,
            centre_momentum,
            freeze_last_layer,
        )
        self.masking = build(
            masking, num_patches=self.encoder.num_patches, patch_size=self.encoder.patch_size
        )
        self.patch_temperature = build(patch_temperature)
        self.class_weight = class_weight
        self.patch_weight = patch_weight
        self.masked_embed = nn.Parameter(torch.zeros(1, self.encoder.embed_dim))
        self.patch_centre = Centre((1, 1, self.head.prototypes), centre_momentum)

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        images = torch.cat([views["image_0"], views["image_1"]])
        mask = self.masking(views, progress, (0, 1))
        teacher = self.teacher_encoder(images)
        tokens = self.encoder.embed(images, replace=(mask, self.masked_embed))
        tokens = self.encoder.norm(self.encoder.layers(tokens)[-1])

        classes = torch.cat([tokens[:, 0], self.local_tokens(views)])
        prefix = self.encoder.num_prefix_tokens
        self.observe(teacher[: len(views["image_0"]), 0])
        class_loss = self.distil_classes(classes, teacher[:, 0], progress)
        patch_loss = self.distil_patches(tokens[:, prefix:], teacher[:, prefix:], mask, progress)
        return {
            "loss_class": self.class_weight * class_loss,
            "loss_patch": self.patch_weight * patch_loss,
            "masked": mask.mean(),
        }

    def distil_patches(
        self, student: Tensor, teacher: Tensor, mask: Tensor, progress: Progress
    ) -> Tensor:
        """Loss on the masked patches: averaged over those of an image, then over images.

        Images without masked patches count as 0. Logits are computed only for as many patches per
        image as can be masked: the masked ones, and others of weight 0 to fill up.

        Args:
            student, teacher: patch tokens, 2B×N×D.
            mask: 2B×N, 1 = masked.
        """
        ids = mask.argsort(dim=1, descending=True, stable=True)[:, : self.masking.most]

        with torch.no_grad():
            head = self.teacher_head.module
            projected = head.project(teacher)
            # The last layer is linear, so the mean of the logits is the logits of the mean.
            self.patch_centre.observe(head.last_layer(projected.mean(dim=1)))
            logits = head.last_layer(gather_tokens(projected, ids))
            targets = teacher_targets(
                logits, self.patch_centre.value, self.patch_temperature(progress)
            )
        logits = self.head(gather_tokens(student, ids))
        errors = cross_entropy(targets, logits, self.student_temperature)
        total = (errors * mask.gather(1, ids)).sum(dim=1)
        return (total / mask.sum(dim=1).clamp_min(1)).mean()

    def after_step(self, progress: Progress) -> None:
        super().after_step(progress)
        self.patch_centre.update()
