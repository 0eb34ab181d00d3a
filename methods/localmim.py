"""LocalMIM: Masked Image Modeling with Local Multi-Scale Reconstruction (Wang et al., CVPR 2023).

MAE reconstructs from the last layer only, so lower layers learn slowly. Here several layers
reconstruct, each through its own small decoder and at its own scale: lower layers fine-scale,
upper layers coarse-scale targets. Targets are histograms of oriented gradients (HOG); L is the sum
of the losses of all scales.

Histograms are those of the intensities. The official code takes the normalised image, whose
rounding errors move some votes from one bin to another (`HOG`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Method, Progress
from benchmark.nn.masking.anatomy import vessel_share
from benchmark.nn.masking.random import RandomMasking
from benchmark.nn.objectives.hog import HOG
from benchmark.nn.state_dict_names import ENCODER_NAMES, Rules
from benchmark.nn.vit import VisionTransformer
from benchmark.registry import METHODS, build
from methods.mae import Part

# From the names of the official checkpoint (key `model`) to ours. The last of its four norms is the
# final norm of our encoder; the fixed Sobel filters are ignored.
OFFICIAL_NAMES: Rules = (
    (r"norm\.3\.", "encoder.norm."),
    (r"norm\.", "norms."),
    *ENCODER_NAMES,
    (r"decoder\.", "decoder."),
    (r"hog_enc\.", None),
)


def mask_at_scale(mask: Tensor, grid: tuple[int, int], scale: float) -> Tensor:
    """Masked fraction of each cell, B×1×(scale·rows)×(scale·columns) in [0, 1].

    Args:
        mask: B×N, 1 = masked.
        grid: rows and columns of patches.
        scale: cells per patch and axis.
    """
    patches = mask.unflatten(1, grid)[:, None]
    if scale >= 1:
        return F.interpolate(patches, scale_factor=int(scale), mode="nearest")
    return F.avg_pool2d(patches, round(1 / scale))


@METHODS.register_module()
class LocalMIM(Method):
    """Masked image modelling with local multi-scale reconstruction.

    Args:
        views: maker of one view per frame.
        encoder: ViT that accepts visible tokens only; its final norm is applied to the last layer.
        decoder: `LocalDecoder`; one is built per layer.
        masking: masking strategy.
        target: reconstruction targets, ``target(intensities, cells) -> maps``, with
            ``target.features(channels)`` values per cell.
        layers: encoder blocks that reconstruct, from 0; negative ones count from the end. The last
            is the last block.
        scales: cells per patch and axis for each of these layers.

    Raises:
        InputError: layers and scales do not match the encoder, each other or the patch size.
    """

    encoder: VisionTransformer
    masking: RandomMasking
    target: HOG

    def __init__(
        self,
        views: Part,
        encoder: Part,
        decoder: dict[str, Any],
        masking: Part,
        target: Part,
        layers: Sequence[int] = (1, 3, -3, -1),
        scales: Sequence[float] = (4, 2, 1, 0.5),
    ) -> None:
        super().__init__(views)
        self.encoder = build(encoder)
        self.masking = build(
            masking, num_patches=self.encoder.num_patches, patch_size=self.encoder.patch_size
        )
        self.target = build(target)
        self.layers = self._check_layers(layers, scales)
        self.scales = tuple(scales)
        self.cells = tuple(round(self.encoder.patch_size / scale) for scale in scales)
        width = self.encoder.embed_dim
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in self.layers[:-1])
        self.decoder = nn.ModuleList(
            build(
                decoder,
                encoder_dim=width,
                grid_size=self.encoder.grid_size,
                num_prefix_tokens=self.encoder.num_prefix_tokens,
                out_channels=self.target.features(self.encoder.arguments["in_channels"]),
                scale=scale,
            )
            for scale in scales
        )

    def _check_layers(self, layers: Sequence[int], scales: Sequence[float]) -> tuple[int, ...]:
        depth, side = len(self.encoder.blocks), self.encoder.patch_size
        found = tuple(layer % depth for layer in layers if -depth <= layer < depth)
        if len(found) != len(layers) or sorted(set(found)) != list(found):
            raise InputError(f"LocalMIM: layers={tuple(layers)} must rise within {depth} blocks")
        if found[-1] != depth - 1:
            raise InputError(f"LocalMIM: layers={tuple(layers)} must end with the last block")
        if len(scales) != len(layers):
            raise InputError(f"LocalMIM: {len(layers)} layers but {len(scales)} scales")
        if any((side / scale) % 1 for scale in scales):
            raise InputError(f"LocalMIM: scales={tuple(scales)} do not divide a patch of {side}")
        return found

    def predict(self, images: Tensor, ids_keep: Tensor, ids_restore: Tensor) -> list[Tensor]:
        """Predictions for all cells at each scale, B×F×rows×columns."""
        outputs = self.encoder.layers(self.encoder.embed(images, ids_keep))
        self.observe(outputs[-1].mean(dim=1))
        norms = [*self.norms, self.encoder.norm]
        return [
            decoder(norm(outputs[layer]), ids_restore)
            for layer, norm, decoder in zip(self.layers, norms, self.decoder)
        ]

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        images = views["image"]
        mask = self.masking(views, progress)
        predictions = self.predict(images, mask.ids_keep, mask.ids_restore)
        targets = self.target(self.views.intensities(images), self.cells)

        terms = {}
        for cell, scale, prediction, target in zip(self.cells, self.scales, predictions, targets):
            weight = mask_at_scale(mask.mask, self.encoder.grid_size, scale)
            error = (prediction.float() - target).square().mean(dim=1, keepdim=True)
            terms[f"loss_{cell}px"] = (error * weight).sum() / weight.sum()
        if "anatomy" in views:
            terms["vessel_share"] = vessel_share(mask, views["anatomy"], self.encoder.patch_size)
        return terms
