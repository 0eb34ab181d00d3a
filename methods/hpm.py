"""HPM: Hard Patches Mining for masked image modelling (Wang et al., CVPR 2023).

A masked autoencoder that proposes its own mask. In addition to the reconstructor, a second decoder
learns to predict the reconstruction loss of each patch. The EMA teacher sees the unmasked image and
predicts the losses that guide the mask, easy to hard: as training proceeds, more and more of the
hardest patches are masked. L = L_rec + L_pred.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.decoders.loss_prediction import LossPredictingDecoder
from benchmark.nn.ema import ExponentialMovingAverage
from benchmark.nn.masking.loss import LossGuidedMasking
from benchmark.nn.objectives.base import Reconstruction
from benchmark.nn.objectives.combined import named_terms
from benchmark.nn.objectives.pixels import PixelReconstruction
from benchmark.nn.state_dict_names import Rules
from benchmark.registry import METHODS, build
from methods.mae import MAE, Part

# From the names of the official checkpoint to ours: `state_dict`, the student, with the prefix
# `module.`, and `ema_state_dict`, the teacher, without it.
_ENCODER = r"(cls_token|pos_embed|patch_embed\.|blocks\.|norm\.)"
_DECODER = r"(mask_token|decoder_)"
OFFICIAL_NAMES: Rules = (
    (rf"module\.{_ENCODER}", r"encoder.\1"),
    (rf"module\.{_DECODER}", r"decoder.\1"),
    (_ENCODER, r"teacher_encoder.module.\1"),
    (_DECODER, r"teacher_decoder.module.\1"),
)


@METHODS.register_module()
class HPM(MAE):
    """Masked autoencoder with hard patches mining; the student's encoder is exported.

    Args:
        views, encoder: as in `MAE`.
        decoder: `LossPredictingDecoder`: reconstructor and loss predictor.
        masking: `LossGuidedMasking`, or any other for an ablation.
        objective: L_rec; must also return the error of each patch, B×N, from
            ``objective.errors(reconstruction, images)``.
        prediction: L_pred, ``prediction(predicted, errors) -> scalar``, both B×M, of the masked
            patches. Its ``official_code`` is the only switch to the released code where that
            deviates from the paper; see `RelativeLossPrediction`.
        momentum: momentum of the teacher, ``momentum(progress) -> m``.

    Raises:
        InputError: an objective without per-patch errors.
    """

    decoder: LossPredictingDecoder
    masking: LossGuidedMasking
    objective: PixelReconstruction

    def __init__(
        self,
        views: Part,
        encoder: Part,
        decoder: Part,
        masking: Part,
        objective: Part,
        prediction: Part,
        momentum: Any,
    ) -> None:
        super().__init__(views, encoder, decoder, masking, objective)
        if not hasattr(self.objective, "errors"):
            kind = type(self.objective).__name__
            raise InputError(
                f"HPM: objective={kind} has no per-patch errors; use PixelReconstruction"
            )
        self.prediction = build(prediction)
        momentum = build(momentum)
        self.teacher_encoder = ExponentialMovingAverage(self.encoder, momentum)
        self.teacher_decoder = ExponentialMovingAverage(self.decoder, momentum)

    @torch.no_grad()
    def predict_difficulty(self, images: Tensor) -> Tensor:
        """The teacher's predicted loss of every patch from the unmasked image, B×N."""
        latent = self.teacher_encoder(images)
        order = torch.arange(self.encoder.num_patches, device=images.device)
        return self.teacher_decoder.module.predict_loss(latent, order.expand(len(images), -1))

    def with_guidance(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The views and the teacher's predicted loss."""
        return {**views, "predicted_loss": self.predict_difficulty(views["image"])}

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        images = views["image"]
        mask = self.masking(self.with_guidance(views), progress)

        latent = self.encoder(images, mask.ids_keep)
        reconstruction = Reconstruction(
            self.decoder(latent, mask.ids_restore),
            mask,
            self.encoder.patch_size,
            self.encoder.grid_size,
        )
        errors = self.objective.errors(reconstruction, images)
        predicted = self.decoder.predict_loss(latent, mask.ids_restore)
        masked = mask.ids_restore.argsort(dim=1)[:, mask.ids_keep.shape[1] :]
        terms = named_terms(self.objective, reconstruction, views, progress)
        terms["loss_prediction"] = self.prediction(
            predicted.gather(1, masked), errors.gather(1, masked)
        )
        return terms | self.vessel_share(mask, views)

    def after_step(self, progress: Progress) -> None:
        super().after_step(progress)
        self.teacher_encoder.update(self.encoder, progress)
        self.teacher_decoder.update(self.decoder, progress)
