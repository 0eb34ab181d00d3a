"""VasoMIM: vascular-anatomy-aware masked image modelling (AAAI; journal arXiv 2602.11536).

A masked autoencoder with two additions. *Anatomy-guided masking* masks vessels increasingly often
during training, guided by the extracted vessels B and the probability map M of a small segmentor S.
*Anatomical consistency* requires the frozen S to find the same vessels in the reconstruction as in
the original frame. L = L_rec + L_cons.

In the released code (XA-SSL) the initialisation of the autoencoder runs after S is loaded, and on S
as well: all its linear layers and LayerNorms, 36 of its 101 tensors, are re-initialised, and then
frozen. The default is the paper's, S as it was trained; ``official_code=True`` reproduces the code.
`docs/protocol.md` describes how S differs on real frames.
"""

from __future__ import annotations

from torch import Tensor

from benchmark.anatomy.segmentor import FrozenSegmentor, JointSegmentor
from benchmark.method import Progress
from benchmark.nn.objectives.anatomical_consistency import AnatomicalConsistency
from benchmark.nn.objectives.combined import named_terms
from benchmark.nn.vit import initialise_like_mae
from benchmark.registry import METHODS, build
from methods.mae import MAE, Part


@METHODS.register_module()
class VasoMIM(MAE):
    """Vascular-anatomy-aware masked autoencoder.

    VasoMIM-v1 (AAAI) is ``masking.eta = 1``; the journal version combines both guides, η = 0.5.

    Args:
        views: maker of one view per frame, with its anatomy.
        encoder, decoder: as in `MAE`.
        masking: `AnatomyGuidedMasking`, or any other for an ablation.
        objective: L_rec, or a list of objectives for a weighted sum.
        segmentor: S, trained beforehand on the extracted vessels and frozen, or a `JointSegmentor`
            trained jointly with the model.
        consistency: L_cons, or None.
        official_code: re-initialise the linear layers and LayerNorms of the segmentor, see above.
            How the code counts masked patches is a switch of the masking.
    """

    segmentor: FrozenSegmentor | JointSegmentor
    consistency: AnatomicalConsistency | None

    def __init__(
        self,
        views: Part,
        encoder: Part,
        decoder: Part,
        masking: Part,
        objective: Part | list[Part],
        segmentor: Part,
        consistency: Part | None,
        official_code: bool = False,
    ) -> None:
        super().__init__(views, encoder, decoder, masking, objective)
        self.segmentor = build(segmentor)
        self.consistency = build(consistency)
        if official_code:
            initialise_like_mae(self.segmentor)

    def with_guidance(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The views and the probability map M."""
        return {**views, "probability": self.segmentor.probability(views["image"])}

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        image, anatomy = views["image"], views["anatomy"]
        terms = {}
        if isinstance(self.segmentor, JointSegmentor):
            terms["loss_segmentor"] = self.segmentor.loss(image, anatomy)
        views = self.with_guidance(views)
        probability = views["probability"]
        mask = self.masking(views, progress)

        reconstruction = self.reconstruct(image, mask)
        terms |= named_terms(self.objective, reconstruction, views, progress)
        if self.consistency is not None:
            reconstructed = self.objective.image(reconstruction, image)
            terms["loss_consistency"] = self.consistency(self.segmentor(reconstructed), probability)
        return terms | self.vessel_share(mask, views)
