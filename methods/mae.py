"""MAE: Masked Autoencoders Are Scalable Vision Learners (He et al., CVPR 2022).

The encoder sees the visible patches only; a lightweight decoder predicts the pixels of the masked
ones. State-dict names are those of the official checkpoint, prefixed ``encoder.`` or ``decoder.``.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from benchmark.method import Method, Progress
from benchmark.nn.decoders.mae import MAEDecoder
from benchmark.nn.masking.anatomy import vessel_share
from benchmark.nn.masking.random import Mask
from benchmark.nn.objectives.base import Objective, Reconstruction
from benchmark.nn.objectives.combined import build_objective, named_terms
from benchmark.nn.state_dict_names import ENCODER_NAMES, Rules
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import METHODS, build

Part = nn.Module | dict[str, Any]

# From the names of the official checkpoint (key `model`) to ours.
OFFICIAL_NAMES: Rules = (*ENCODER_NAMES, (r"(mask_token|decoder_)", r"decoder.\1"))


@METHODS.register_module()
class MAE(Method):
    """Masked autoencoder.

    Args:
        views: maker of one view per frame.
        encoder: ViT that accepts visible tokens only.
        decoder: predicts every patch from the visible tokens.
        masking: masking strategy.
        objective: reconstruction objective; a list is a weighted sum. It determines the number of
            values the decoder predicts per patch.
    """

    encoder: VisionTransformer
    decoder: MAEDecoder
    masking: nn.Module
    objective: nn.Module

    def __init__(
        self,
        views: Part,
        encoder: Part,
        decoder: Part,
        masking: Part,
        objective: Part | list[Part],
    ) -> None:
        super().__init__(views)
        self.encoder = build(encoder)
        self.objective = build_objective(objective)
        self.decoder = build(
            decoder,
            encoder_dim=self.encoder.embed_dim,
            patch_size=self.encoder.patch_size,
            **self.decoder_arguments(),
            **output_dim(self.objective, self.encoder),
        )
        self.masking = build(
            masking, num_patches=self.encoder.num_patches, patch_size=self.encoder.patch_size
        )
        self.initialise()
        if isinstance(self.objective, Objective):
            self.objective.attach(self.encoder, self.views)

    def decoder_arguments(self) -> dict[str, Any]:
        """What the decoder has to know about its input, besides its width."""
        return {
            "grid_size": self.encoder.grid_size,
            "num_prefix_tokens": self.encoder.num_prefix_tokens,
        }

    def initialise(self) -> None:
        """Change the initial weights, before objectives copy the encoder."""

    def with_guidance(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The views and what guides the masking, where a method computes that itself."""
        return views

    def reconstruct(self, images: Tensor, mask: Mask) -> Reconstruction:
        """Predict every patch of B×C×H×W images from the visible ones."""
        latent = self.encoder(images, mask.ids_keep)
        prediction = self.decoder(latent, mask.ids_restore)
        return Reconstruction(prediction, mask, self.encoder.patch_size, self.encoder.grid_size)

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        mask = self.masking(views, progress)
        reconstruction = self.reconstruct(views["image"], mask)
        terms = named_terms(self.objective, reconstruction, views, progress)
        return terms | self.vessel_share(mask, views)

    def vessel_share(self, mask: Mask, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """For the log, where the vessels are known."""
        if "anatomy" not in views:
            return {}
        share = vessel_share(mask, views["anatomy"], self.encoder.patch_size)
        return {"vessel_share": share}

    def after_step(self, progress: Progress) -> None:
        if isinstance(self.objective, Objective):
            self.objective.after_step(self.encoder, progress)


def output_dim(objective: nn.Module, encoder: VisionTransformer) -> dict[str, int]:
    """The decoder argument `out_dim`, unless the objective predicts exactly the pixels of a patch.

    Decoders without that argument can then be used for pixels, as can modules that are not an
    `Objective`.
    """
    channels = encoder.patch_embed.proj.in_channels
    pixels = encoder.patch_size**2 * channels
    has_width = isinstance(objective, Objective)
    width = objective.width(encoder.patch_size, channels) if has_width else pixels
    return {} if width == pixels else {"out_dim": width}
