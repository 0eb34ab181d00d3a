"""iBOT: Image BERT Pre-Training with Online Tokenizer (Zhou et al., ICLR 2022).

DINO, and beside it masked image modelling whose targets come from the teacher itself: of each large
view the student sees a part, and says of every masked patch what the teacher, who sees the whole
view, says of the patch in its place. CLS and patches share the head. L = λ₁·L_CLS + λ₂·L_MIM
(equations 2 and 3).
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from benchmark.method import Progress
from benchmark.nn.masking.ibot import BlockwiseRatioMasking
from benchmark.nn.objectives.self_distillation import Centre, assignments, cross_entropy
from benchmark.nn.state_dict_names import Rules, translate
from benchmark.registry import METHODS, build
from benchmark.type_hints import Natural, Positive
from methods.dino import DINO, Part
from methods.dino import OFFICIAL_NAMES as DINO_NAMES

# From the names of the official checkpoint to ours. CLS and patches share one head in all published
# recipes, and their checkpoints hold its last layer twice.
OFFICIAL_NAMES: Rules = (
    (r"(module\.)?head\.last_layer2\.", None),
    (r"module\.backbone\.masked_embed$", "masked_embed"),
    (r"center2$", "patch_centre.value"),
    *DINO_NAMES,
)


def official_keys(name: str) -> str | None:
    """Our name of a tensor of the official checkpoint; None for the last layer's second name."""
    return translate(name, OFFICIAL_NAMES)


@METHODS.register_module()
class IBOT(DINO):
    """DINO with masked image modelling. The teacher's encoder is exported.

    Args:
        views, encoder, head, momentum, teacher_temperature, student_temperature, centre_momentum,
        freeze_last_layer: as in `DINO`.
        masking: `BlockwiseRatioMasking` of the large views.
        patch_temperature: of the teacher, for patches.
        class_weight: λ₁.
        patch_weight: λ₂.
    """

    masking: BlockwiseRatioMasking

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
        encoder: Part,
        head: Part,
        masking: Part,
        momentum: Any,
        teacher_temperature: Any,
        patch_temperature: Any,
        student_temperature: Positive = 0.1,
        centre_momentum: float = 0.9,
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
        mask = torch.cat([self.masking(views, progress, view) for view in range(2)])
        seen = self.teacher_encoder(images)
        tokens = self.encoder.embed(images, replace=(mask, self.masked_embed))
        tokens = self.encoder.norm(self.encoder.layers(tokens)[-1])

        classes = torch.cat([tokens[:, 0], self.local_tokens(views)])
        prefix = self.encoder.num_prefix_tokens
        self.observe(seen[: len(views["image_0"]), 0])
        by_class = self.distil_classes(classes, seen[:, 0], progress)
        by_patch = self.distil_patches(tokens[:, prefix:], seen[:, prefix:], mask, progress)
        return {
            "loss_class": self.class_weight * by_class,
            "loss_patch": self.patch_weight * by_patch,
            "masked": mask.mean(),
        }

    def distil_patches(
        self, tokens: Tensor, seen: Tensor, mask: Tensor, progress: Progress
    ) -> Tensor:
        """Loss on the masked patches: mean over those of an image, then over images.

        Images without any count as 0. The logits of the other patches, most of all there are, are
        never computed: as many patches of each image are taken as may be masked, the masked ones
        first, and those that are not get no weight.

        Args:
            tokens: of the student, 2B×N×D.
            seen: of the teacher, 2B×N×D.
            mask: 2B×N, 1 = masked.
        """
        taken = mask.argsort(dim=1, descending=True, stable=True)[:, : self.masking.most]

        with torch.no_grad():
            head = self.teacher_head.module
            projected = head.project(seen)
            # The last layer is linear: mean logits of all patches are logits of their mean.
            self.patch_centre.observe(head.last_layer(projected.mean(dim=1)))
            logits = head.last_layer(_select(projected, taken))
            targets = assignments(logits, self.patch_centre.value, self.patch_temperature(progress))
        errors = cross_entropy(targets, self.head(_select(tokens, taken)), self.student_temperature)
        counted = (errors * mask.gather(1, taken)).sum(dim=1)
        return (counted / mask.sum(dim=1).clamp_min(1)).mean()

    def after_step(self, progress: Progress) -> None:
        super().after_step(progress)
        self.patch_centre.update()


def _select(tokens: Tensor, ids: Tensor) -> Tensor:
    """The tokens in the given places, B×N×D and B×K to B×K×D."""
    return tokens.gather(1, ids[..., None].expand(-1, -1, tokens.shape[2]))
