"""MAE: Masked Autoencoders Are Scalable Vision Learners (He et al., CVPR 2022).

Visible patches go through the encoder; a light decoder predicts the pixels of the masked ones.
State-dict names are those of the official checkpoint behind ``encoder.`` and ``decoder.``.
"""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseDataPreprocessor
from torch import Tensor, nn

from benchmark.build import build
from benchmark.method import Method, Progress
from benchmark.nn.decoders import MAEDecoder
from benchmark.nn.masking import Mask, RandomMasking, vessel_share
from benchmark.nn.objectives import PixelReconstruction, Reconstruction
from benchmark.nn.vit import VisionTransformer

Part = nn.Module | dict[str, Any]


class MAE(Method):
    """Masked autoencoder.

    Args:
        views: maker of one masked view per frame.
        encoder: ViT that accepts visible tokens only.
        decoder: predicts every patch from the visible tokens.
        masking: which patches are hidden.
        objective: what the prediction is compared with.
    """

    encoder: VisionTransformer
    decoder: MAEDecoder
    masking: RandomMasking
    objective: PixelReconstruction

    def __init__(
        self,
        views: BaseDataPreprocessor | dict[str, Any],
        encoder: Part,
        decoder: Part,
        masking: Part,
        objective: Part,
    ) -> None:
        super().__init__(views)
        self.encoder = build(encoder)
        self.decoder = build(
            decoder,
            encoder_dim=self.encoder.embed_dim,
            grid_size=self.encoder.grid_size,
            patch_size=self.encoder.patch_size,
            num_prefix_tokens=self.encoder.num_prefix_tokens,
        )
        self.masking = build(
            masking, num_patches=self.encoder.num_patches, patch_size=self.encoder.patch_size
        )
        self.objective = build(objective)

    def reconstruct(self, images: Tensor, mask: Mask) -> Reconstruction:
        latent = self.encoder(images, mask.ids_keep)
        prediction = self.decoder(latent, mask.ids_restore)
        return Reconstruction(prediction, mask, self.encoder.patch_size, self.encoder.grid_size)

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        mask = self.masking(views, progress)
        reconstruction = self.reconstruct(views["image"], mask)
        terms = {"loss_reconstruction": self.objective(reconstruction, views, progress)}
        if "anatomy" in views:
            terms["vessel_share"] = vessel_share(mask, views["anatomy"], self.encoder.patch_size)
        return terms
