"""DINO: Emerging Properties in Self-Supervised Vision Transformers (Caron et al., ICCV 2021).

A student learns to say of small and large crops of a frame what its own moving average, the
teacher, says of another large crop: L = −Σ P_t(x) log P_s(x′), mean over all pairs of different
views (equation 3). The teacher's logits are centred and sharpened, which keeps both from ending
with the same answer for everything.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from benchmark.method import Method, Progress
from benchmark.nn.ema import ExponentialMovingAverage
from benchmark.nn.objectives.self_distillation import Centre, assignments, distil_across_views
from benchmark.nn.projection import PrototypeHead
from benchmark.nn.state_dict_names import Rules, translate
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import METHODS, build
from benchmark.type_hints import Natural, Positive
from methods.mae import Part

# From the names of the official checkpoint to ours: `student`, `teacher` and `dino_loss`, whose
# names do not overlap but for the student's prefix.
OFFICIAL_NAMES: Rules = (
    (r"module\.backbone\.", "encoder."),
    (r"module\.head\.", "head."),
    (r"backbone\.", "teacher_encoder.module."),
    (r"head\.", "teacher_head.module."),
    (r"center$", "centre.value"),
)


def official_keys(name: str) -> str | None:
    """Our name of a tensor of the official checkpoint."""
    return translate(name, OFFICIAL_NAMES)


@METHODS.register_module()
class DINO(Method):
    """Self-distillation with no labels. The teacher's encoder is exported.

    Args:
        views: maker of two large and some small views per frame: ``image_0``, ``image_1``, and
            ``local``, (count·B)×3×h×w crop by crop, or none.
        encoder: ViT with a CLS token; in the official recipe with trained positions, and with
            `drop_path` 0.1, which the teacher does without.
        head: `PrototypeHead` on CLS.
        momentum: of the teacher, ``momentum(progress) -> m``.
        teacher_temperature: ``teacher_temperature(progress) -> T``.
        student_temperature: T of the student.
        centre_momentum: m of the centre.
        freeze_last_layer: epochs during which the prototypes stay as they are.
    """

    encoder: VisionTransformer
    head: PrototypeHead

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
        encoder: Part,
        head: Part,
        momentum: Any,
        teacher_temperature: Any,
        student_temperature: Positive = 0.1,
        centre_momentum: float = 0.9,
        freeze_last_layer: Natural = 1,
    ) -> None:
        super().__init__(views)
        self.encoder = build(encoder)
        self.head = build(head, in_dim=self.encoder.embed_dim)
        initialise_like_dino(self.encoder)
        self.teacher_temperature = build(teacher_temperature)
        self.student_temperature = student_temperature
        self.freeze_last_layer = freeze_last_layer
        momentum = build(momentum)
        self.teacher_encoder = ExponentialMovingAverage(self.encoder, momentum)
        self.teacher_head = ExponentialMovingAverage(self.head, momentum)
        self.centre = Centre((1, self.head.prototypes), centre_momentum)

    def local_tokens(self, views: dict[str, Tensor]) -> Tensor:
        """CLS of the small views, all in one batch, (count·B)×D."""
        if "local" not in views:
            return views["image_0"].new_zeros(0, self.encoder.embed_dim)
        return self.encoder(views["local"])[:, 0]

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        images = torch.cat([views["image_0"], views["image_1"]])
        seen = self.teacher_encoder(images)[:, 0]
        tokens = torch.cat([self.encoder(images)[:, 0], self.local_tokens(views)])
        self.observe(seen[: len(views["image_0"])])
        return {"loss_class": self.distil_classes(tokens, seen, progress)}

    def distil_classes(self, tokens: Tensor, seen: Tensor, progress: Progress) -> Tensor:
        """Loss on CLS; the teacher's logits are kept for the centre of the next step.

        Args:
            tokens: of the student, (views·B)×D view by view, the two large ones first.
            seen: of the teacher, 2B×D.
        """
        batch = len(seen) // 2
        logits = self.teacher_head(seen)
        temperature = self.teacher_temperature(progress)
        targets = assignments(logits, self.centre.value, temperature)
        self.centre.observe(logits)
        return distil_across_views(
            targets.split(batch), self.head(tokens).split(batch), self.student_temperature
        )

    def before_step(self, progress: Progress) -> None:
        if progress.epoch < self.freeze_last_layer:
            # Without a gradient an optimiser leaves a parameter alone, weight decay included.
            for parameter in self.head.last_layer.parameters():
                parameter.grad = None

    def after_step(self, progress: Progress) -> None:
        self.teacher_encoder.update(self.encoder, progress)
        self.teacher_head.update(self.head, progress)
        self.centre.update()

    def exports(self) -> dict[str, nn.Module]:
        return {"encoder": self.teacher_encoder.module}


def initialise_like_dino(encoder: VisionTransformer) -> None:
    """Normal, std 0.02, cut off at ±2, for tokens, trained positions and linear layers.

    The patch embedding starts as any convolution of torch.
    """
    encoder.patch_embed.proj.reset_parameters()
    for token in (encoder.cls_token, encoder.pos_embed):
        if token is not None and token.requires_grad:
            nn.init.trunc_normal_(token, std=0.02)
    for layer in encoder.blocks.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
