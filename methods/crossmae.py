"""CrossMAE: Rethinking Patch Dependence for Masked Autoencoders (Fu et al., TMLR 2025).

A masked autoencoder whose decoder has no self-attention: each masked patch is predicted from the
visible patches alone, by cross-attention. This leads to three changes to MAE.

* *Partial reconstruction*: masked patches do not attend to each other, so only a subset of them is
  predicted.
* *Inter-block attention*: each decoder block attends to its own learned mixture of the encoder's
  input and the outputs of all its blocks.
* The encoder has no final norm; each mixture is normalised instead.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from benchmark.errors import InputError
from benchmark.nn.decoders.cross_attention import CrossAttentionDecoder
from benchmark.nn.masking.random import Mask
from benchmark.nn.objectives.base import Reconstruction
from benchmark.nn.state_dict_names import ENCODER_NAMES, Rules
from benchmark.registry import METHODS, build
from benchmark.type_hints import Rate
from methods.mae import MAE, Part

# From the names of the official checkpoint (key `model`) to ours.
OFFICIAL_NAMES: Rules = (
    *ENCODER_NAMES,
    (r"(mask_token|decoder_|dec_norms\.|wfm\.)", r"decoder.\1"),
)


@METHODS.register_module()
class CrossMAE(MAE):
    """Cross-attention masked autoencoder.

    Args:
        views: maker of one view per frame.
        encoder: ViT without a final norm; sees the visible patches only.
        decoder: `CrossAttentionDecoder`.
        masking: masking strategy. The patches masked last are predicted, under random masking a
            random subset.
        objective: reconstruction objective, applied to the predicted patches.
        predicted: p, the prediction ratio: fraction of *all* patches that are predicted
            (`kept_mask_ratio` of the official code), at most the masking ratio.

    Raises:
        InputError: p outside (0, 1), or an encoder with a final norm.
    """

    decoder: CrossAttentionDecoder

    def __init__(
        self,
        views: Part,
        encoder: Part,
        decoder: Part,
        masking: Part,
        objective: Part | list[Part],
        predicted: Rate = 0.25,
    ) -> None:
        if not 0 < predicted < 1:
            raise InputError(f"CrossMAE: predicted={predicted} must lie in (0, 1)")
        encoder = build(encoder)
        if encoder.arguments["final_norm"]:
            raise InputError("CrossMAE: encoder.final_norm must be False, it would not be trained")
        super().__init__(views, encoder, decoder, masking, objective)
        self.predicted = predicted

    def decoder_arguments(self) -> dict[str, Any]:
        return {**super().decoder_arguments(), "num_maps": len(self.encoder.blocks) + 1}

    def patches_to_predict(self, mask: Mask) -> Tensor:
        """Indices of the predicted patches, B×Q: all masked ones but ⌊masked − p·N⌋.

        Raises:
            InputError: p is larger than the masking ratio.
        """
        count = mask.ids_restore.shape[1]
        visible = mask.ids_keep.shape[1]
        ignored = int(count - visible - self.predicted * count + 1e-6)
        if self.predicted * count > count - visible + 1e-6:
            raise InputError(
                f"CrossMAE: predicted={self.predicted} of {count} patches are more than the "
                f"{count - visible} masked ones"
            )
        return mask.ids_restore.argsort(dim=1)[:, visible + ignored :]

    def reconstruct(self, images: Tensor, mask: Mask) -> Reconstruction:
        """Predict a subset of the masked patches; the others are zero and count as not masked."""
        tokens = self.encoder.embed(images, mask.ids_keep)
        ids = self.patches_to_predict(mask)
        layers = self.encoder.layers(tokens)
        self.observe(layers[-1].mean(dim=1))
        patches = self.decoder([tokens, *layers], ids)

        zeros = patches.new_zeros(*mask.mask.shape, patches.shape[2])
        prediction = zeros.scatter(1, ids[..., None].expand_as(patches), patches)
        predicted = mask.mask.new_zeros(mask.mask.shape).scatter(1, ids, 1.0)
        return Reconstruction(
            prediction,
            mask._replace(mask=predicted),
            self.encoder.patch_size,
            self.encoder.grid_size,
        )
