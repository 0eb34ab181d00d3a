"""DINO: Emerging Properties in Self-Supervised Vision Transformers (Caron et al., ICCV 2021).

Self-distillation: across global and local crops of a frame, the student matches the output of the
EMA teacher on another global crop, L = −Σ P_t(x) log P_s(x′), averaged over all pairs of different
views (equation 3). Centring and sharpening of the teacher's logits prevent representation collapse.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmark.method import Method, Progress
from benchmark.nn.ema import ExponentialMovingAverage
from benchmark.nn.objectives.self_distillation import Centre, distil_across_views, teacher_targets
from benchmark.nn.projection import PrototypeHead
from benchmark.nn.state_dict_names import Rules
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import METHODS, build
from benchmark.type_hints import Natural, Positive, Rate
from methods.mae import Part

# From the names of the official checkpoint to ours: `student`, with the prefix `module.`, `teacher`
# and `dino_loss`.
OFFICIAL_NAMES: Rules = (
    (r"module\.backbone\.", "encoder."),
    (r"module\.head\.", "head."),
    (r"backbone\.", "teacher_encoder.module."),
    (r"head\.", "teacher_head.module."),
    (r"center$", "centre.value"),
)


@METHODS.register_module()
class DINO(Method):
    """Self-distillation with no labels; the teacher's encoder is exported.

    Args:
        views: maker of two global and optional local crops per frame: ``image_0``, ``image_1`` and
            ``local``, (count·B)×3×h×w crop by crop.
        encoder: ViT with a CLS token; in the official recipe with learned positions and, for the
            student only, `drop_path` 0.1.
        head: `PrototypeHead` on CLS.
        momentum: momentum of the teacher, ``momentum(progress) -> m``.
        teacher_temperature: ``teacher_temperature(progress) -> T``.
        student_temperature: T of the student.
        centre_momentum: m of the centre.
        freeze_last_layer: number of first epochs during which the prototypes are frozen.
    """

    encoder: VisionTransformer
    head: PrototypeHead

    def __init__(
        self,
        views: Part,
        encoder: Part,
        head: Part,
        momentum: Any,
        teacher_temperature: Any,
        student_temperature: Positive = 0.1,
        centre_momentum: Rate = 0.9,
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
        """CLS of the local crops as one batch, (count·B)×D."""
        if "local" not in views:
            return views["image_0"].new_zeros(0, self.encoder.embed_dim)
        return self.encoder(views["local"])[:, 0]

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        images = torch.cat([views["image_0"], views["image_1"]])
        teacher = self.teacher_encoder(images)[:, 0]
        student = torch.cat([self.encoder(images)[:, 0], self.local_tokens(views)])
        self.observe(teacher[: len(views["image_0"])])
        return {"loss_class": self.distil_classes(student, teacher, progress)}

    def distil_classes(self, student: Tensor, teacher: Tensor, progress: Progress) -> Tensor:
        """Loss on CLS; the teacher's logits are accumulated for the update of the centre.

        Args:
            student: CLS tokens, (views·B)×D view by view, the two global crops first.
            teacher: CLS tokens, 2B×D.
        """
        batch = len(teacher) // 2
        logits = self.teacher_head(teacher)
        temperature = self.teacher_temperature(progress)
        targets = teacher_targets(logits, self.centre.value, temperature)
        self.centre.observe(logits)
        return distil_across_views(
            targets.split(batch), self.head(student).split(batch), self.student_temperature
        )

    def before_step(self, progress: Progress) -> None:
        if progress.epoch < self.freeze_last_layer:
            # The optimiser skips parameters without a gradient, weight decay included.
            for parameter in self.head.last_layer.parameters():
                parameter.grad = None

    def after_step(self, progress: Progress) -> None:
        self.teacher_encoder.update(self.encoder, progress)
        self.teacher_head.update(self.head, progress)
        self.centre.update()

    def exports(self) -> dict[str, nn.Module]:
        return {"encoder": self.teacher_encoder.module}


def initialise_like_dino(encoder: VisionTransformer) -> None:
    """Truncated normal, std 0.02, for tokens, learned positions and linear layers.

    The patch embedding has torch's default initialisation of convolutions.
    """
    encoder.patch_embed.proj.reset_parameters()
    for token in (encoder.cls_token, encoder.pos_embed):
        if token is not None and token.requires_grad:
            nn.init.trunc_normal_(token, std=0.02)
    for layer in encoder.blocks.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
