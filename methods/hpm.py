"""HPM: Hard Patches Mining for masked image modelling (Wang et al., CVPR 2023).

A masked autoencoder that is its own teacher. Beside the reconstructor, a second decoder learns to
predict *how large* the reconstruction loss of each patch will be. An exponential moving average of
the model, shown the whole image, predicts the losses from which the next mask is made: the longer
training goes on, the more of the patches it finds hardest are masked. L = L_rec + L_pred.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.decoders.loss_prediction import LossPredictingDecoder
from benchmark.nn.ema import ExponentialMovingAverage
from benchmark.nn.masking.anatomy import vessel_share
from benchmark.nn.masking.loss import LossGuidedMasking
from benchmark.nn.objectives.base import Reconstruction
from benchmark.nn.objectives.combined import named_terms
from benchmark.nn.objectives.pixels import PixelReconstruction
from benchmark.nn.state_dict_names import translate
from benchmark.registry import METHODS, build
from methods.mae import MAE, OFFICIAL_NAMES, Part


def official_keys(name: str, teacher: bool = False) -> str | None:
    """Our name of a tensor of the official checkpoint, whose names are MAE's and some more.

    Args:
        name: from `state_dict`, the student, where names start with ``module.``; or from
            `ema_state_dict`, the teacher, where they do not.
        teacher: it is the teacher's.
    """
    ours = translate(name.removeprefix("module."), OFFICIAL_NAMES)
    if ours is None or not teacher:
        return ours
    part, _, rest = ours.partition(".")
    return f"teacher_{part}.module.{rest}"


@METHODS.register_module()
class HPM(MAE):
    """Masked autoencoder with hard patches mining. The student's encoder is exported.

    Args:
        views: maker of one masked view per frame.
        encoder: ViT that accepts visible tokens only.
        decoder: `LossPredictingDecoder`: reconstructor and loss predictor.
        masking: `LossGuidedMasking`, or any other for an ablation.
        objective: L_rec; it also tells the error of each patch, B×N,
            ``objective.errors(reconstruction, images)``.
        prediction: L_pred, ``prediction(predicted, errors) -> scalar``, both B×M, of the masked
            patches. The one switch to the released code where it deviates from the paper is its
            ``official_code``; see `RelativeLossPrediction`.
        momentum: of the teacher, ``momentum(progress) -> m``.

    Raises:
        InputError: an objective that does not tell the error of each patch.
    """

    decoder: LossPredictingDecoder
    masking: LossGuidedMasking
    objective: PixelReconstruction

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
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
                f"HPM: objective={kind} tells no error per patch; use PixelReconstruction"
            )
        self.prediction = build(prediction)
        momentum = build(momentum)
        self.teacher_encoder = ExponentialMovingAverage(self.encoder, momentum)
        self.teacher_decoder = ExponentialMovingAverage(self.decoder, momentum)

    @torch.no_grad()
    def predict_difficulty(self, images: Tensor) -> Tensor:
        """The teacher's prediction of the loss of every patch, from the whole image; B×N."""
        latent = self.teacher_encoder(images)
        order = torch.arange(self.encoder.num_patches, device=images.device)
        return self.teacher_decoder.module.predict_loss(latent, order.expand(len(images), -1))

    def guided(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The views and the teacher's prediction of the loss."""
        return {**views, "predicted_loss": self.predict_difficulty(views["image"])}

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        images = views["image"]
        mask = self.masking(self.guided(views), progress)

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
        if "anatomy" in views:
            terms["vessel_share"] = vessel_share(mask, views["anatomy"], self.encoder.patch_size)
        return terms

    def after_step(self, progress: Progress) -> None:
        super().after_step(progress)
        self.teacher_encoder.update(self.encoder, progress)
        self.teacher_decoder.update(self.decoder, progress)
