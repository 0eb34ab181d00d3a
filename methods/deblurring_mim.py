"""DeblurringMIM: masked image modelling with deblurring (Kang et al., MICCAI 2023; MedIA 2024).

Small details matter more in ultrasound, and in angiograms, than in photographs. So the masked
autoencoder gets a *blurred* image and reconstructs the *sharp* one: masked patches are filled in,
visible ones deblurred, and the loss counts both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmark.data.views.single import IMAGENET_MEAN, IMAGENET_STD, SingleView
from benchmark.method import Progress
from benchmark.nn.masking.anatomy import vessel_share
from benchmark.nn.objectives.combined import named_terms
from benchmark.registry import METHODS, VIEWS, build
from benchmark.type_hints import Count, Rate
from methods import mae

# The official checkpoint (key `model`) has the names of MAE's.
official_keys = mae.official_keys


@VIEWS.register_module()
class BlurredView(SingleView):
    """One view per frame, blurred, and the same view of the sharp frame.

    Yields what `SingleView` does, ``image`` being blurred, and ``sharp``, of the same shape.

    The frame is blurred before it is cropped, at the size it is stored in, so that the blur is the
    same in every part of an angiogram and larger in the view the smaller the crop. The released
    code keeps a blurred copy of the data set and seeds both crops with the second of the clock,
    which also gives all frames of that second the same crop; here a crop belongs to its frame.

    Args:
        blur: ``blur(frames, valid) -> frames`` or its config.
        size, scale, ratio, flip, mean, std: see `SingleView`.
    """

    def __init__(
        self,
        blur: nn.Module | dict[str, Any],
        size: Count = 224,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: Rate = 0.5,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__(size, scale, ratio, flip, mean, std)
        self.blur = build(blur)

    def make(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        views = super().make(data)
        # A crop is a function of the frame's index: the second one is the same.
        blurred = {
            "frame": self.blur(data["frame"], data["valid"]),
            "valid": data["valid"],
            "index": data["index"],
        }
        image = super().make(blurred)["image"]
        return {**views, "image": image, "sharp": views["image"]}


@METHODS.register_module()
class DeblurringMIM(mae.MAE):
    """Deblurring masked autoencoder.

    Encoder, decoder and masking are MAE's. The paper also blurs the images of downstream tasks; the
    benchmark gives every encoder the same, sharp, images.

    Args:
        views: `BlurredView`.
        encoder: ViT that accepts visible tokens only.
        decoder: predicts every patch from the visible tokens.
        masking: which patches are hidden.
        objective: what the prediction is compared with; here on all patches, masked or not.
    """

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        mask = self.masking(views, progress)
        everywhere = mask._replace(mask=torch.ones_like(mask.mask))
        reconstruction = self.reconstruct(views["image"], everywhere)
        sharp = {**views, "image": views["sharp"]}
        terms = named_terms(self.objective, reconstruction, sharp, progress)
        if "anatomy" in views:
            terms["vessel_share"] = vessel_share(mask, views["anatomy"], self.encoder.patch_size)
        return terms
