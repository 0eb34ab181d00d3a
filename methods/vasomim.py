"""VasoMIM: vascular-anatomy-aware masked image modelling (AAAI; journal arXiv 2602.11536).

A masked autoencoder with two additions. *Anatomy-guided masking* hides vessels more and more often
as training goes on, guided by the extracted vessels B and by the probability map M of a small
segmentor S. *Anatomical consistency* asks that S, frozen, finds in the reconstruction the vessels
it finds in the frame. L = L_rec + L_cons.
"""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from benchmark.anatomy.segmentor import FrozenSegmentor, JointSegmentor
from benchmark.method import Progress
from benchmark.nn.masking.anatomy import vessel_share
from benchmark.nn.objectives.anatomical_consistency import AnatomicalConsistency
from benchmark.nn.objectives.combined import named_terms
from benchmark.registry import METHODS, build
from methods.mae import MAE, Part


@METHODS.register_module()
class VasoMIM(MAE):
    """Vascular-anatomy-aware masked autoencoder.

    VasoMIM-v1 (AAAI) is ``masking.eta = 1``; the journal version mixes both guides, η = 0.5.

    Args:
        views: maker of one masked view per frame, with its anatomy.
        encoder: ViT that accepts visible tokens only.
        decoder: predicts every patch from the visible tokens.
        masking: `AnatomyGuidedMasking`, or any other for an ablation.
        objective: L_rec, or a list of objectives that are added up.
        segmentor: S, trained in advance on the extracted vessels and frozen, or a `JointSegmentor`
            that learns beside the model.
        consistency: L_cons; None leaves it out.
    """

    segmentor: FrozenSegmentor | JointSegmentor
    consistency: AnatomicalConsistency | None

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
        encoder: Part,
        decoder: Part,
        masking: Part,
        objective: Part | list[Part],
        segmentor: Part,
        consistency: Part | None,
    ) -> None:
        super().__init__(views, encoder, decoder, masking, objective)
        self.segmentor = build(segmentor)
        self.consistency = build(consistency)

    def guided(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The views and M, the probability of a vessel at every pixel."""
        return {**views, "probability": self.segmentor.probability(views["image"])}

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        image, anatomy = views["image"], views["anatomy"]
        terms = {}
        if isinstance(self.segmentor, JointSegmentor):
            terms["loss_segmentor"] = self.segmentor.loss(image, anatomy)
        views = self.guided(views)
        probability = views["probability"]
        mask = self.masking(views, progress)

        reconstruction = self.reconstruct(image, mask)
        terms |= named_terms(self.objective, reconstruction, views, progress)
        if self.consistency is not None:
            reconstructed = self.objective.image(reconstruction, image)
            terms["loss_consistency"] = self.consistency(self.segmentor(reconstructed), probability)
        terms["vessel_share"] = vessel_share(mask, anatomy, self.encoder.patch_size)
        return terms
