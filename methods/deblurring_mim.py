"""DeblurringMIM: masked image modelling with deblurring (Kang et al., MICCAI 2023; MedIA 2024).

Fine details matter more in ultrasound, and in angiography, than in photographs. The masked
autoencoder therefore sees a *blurred* image and reconstructs the *sharp* one: masked patches are
inpainted, visible patches deblurred, and both enter the loss. State-dict names are MAE's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.data.views.single import SingleView
from benchmark.method import Progress
from benchmark.nn.objectives.combined import named_terms
from benchmark.registry import METHODS, VIEWS, build
from benchmark.type_hints import Count, Rate
from methods.mae import MAE


@VIEWS.register_module()
class BlurredView(SingleView):
    """A blurred view of each frame, and the same view of the sharp frame.

    Yields what `SingleView` yields, with a blurred ``image``, and ``sharp``, of the same shape.

    Frames are blurred before cropping, at their stored size, so that the blur is uniform over an
    angiogram and, in the view, larger for smaller crops. The released code keeps a blurred copy of
    the dataset and seeds both crops with the current second, so that all frames of that second
    share a crop; here crops are independent.

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
        # Crops are keyed by the frame's index, so both are the same.
        blurred = {
            "frame": self.blur(data["frame"], data["valid"]),
            "valid": data["valid"],
            "index": data["index"],
        }
        image = super().make(blurred)["image"]
        return {**views, "image": image, "sharp": views["image"]}


@METHODS.register_module()
class DeblurringMIM(MAE):
    """Deblurring masked autoencoder.

    The paper blurs downstream images as well; in the benchmark all encoders are fine-tuned on the
    same sharp images.

    Args:
        views: `BlurredView`.
        encoder, decoder, masking: as in `MAE`.
        objective: reconstruction objective, here applied to all patches, masked or not.
    """

    def loss(self, views: dict[str, Tensor], progress: Progress) -> dict[str, Tensor]:
        mask = self.masking(views, progress)
        all_patches = mask._replace(mask=torch.ones_like(mask.mask))
        reconstruction = self.reconstruct(views["image"], all_patches)
        sharp = {**views, "image": views["sharp"]}
        terms = named_terms(self.objective, reconstruction, sharp, progress)
        return terms | self.vessel_share(mask, views)
