"""Views of a batch of grayscale frames: the base class of view makers, and single random crops.

A view maker is the data preprocessor of a method. It takes the batches of the loader

    frame    B×S×S uint8, grayscale, padded at the bottom and right
    valid    B×2 int64, height and width without padding
    index    B int64, numbers of the frames in their packs, which key the random numbers
    anatomy  B×S×(S/8) uint8, bit-packed vessel mask (optional)

and returns ``{"views": {...}}`` on the device of the model. Random numbers are stateless
(`benchmark.randomness`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from benchmark.data.views.crop import CROP_DRAWS, Crop, crop_bicubic, crop_nearest, draw_crops
from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.method import Progress
from benchmark.randomness import uniform
from benchmark.registry import VIEWS
from benchmark.type_hints import Count, Rate


class ViewMaker(BaseDataPreprocessor):
    """Base class of all view makers: device placement, random numbers, normalisation.

    A subclass defines `make`. It runs in fp32 even if the model is trained in bf16, whose 8
    significant bits are too few for intensities.

    Args:
        size: side of the view in pixels.
        scale: area of the crop relative to the frame.
        ratio: aspect ratio of the crop, width over height.
        flip: probability of a horizontal flip.
        mean, std: per-channel normalisation of intensities in [0, 1].
    """

    def __init__(
        self,
        size: Count = 224,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: Rate = 0.5,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.size = size
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.flip = flip
        self.progress = Progress()
        shape = (1, 3, 1, 1)
        self.register_buffer("mean", torch.tensor(mean).view(shape) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(shape) * 255, persistent=False)

    def cast_data(self, data: Any) -> Any:
        """The batch on the device of the model."""
        # Copies of pinned batches overlap with computation on the GPU. Copies to the host must
        # block: nothing waits for them, and stale memory would be read.
        self._non_blocking = self.device.type == "cuda"
        return super().cast_data(data)

    def forward(
        self, data: dict[str, Tensor], training: bool = True
    ) -> dict[str, dict[str, Tensor]]:
        data = self.cast_data(data)
        with torch.autocast(data["frame"].device.type, enabled=False):
            return {"views": self.make(data)}

    def make(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        """The views of a batch (see the module docstring), on its device."""
        raise NotImplementedError(f"{type(self).__name__} does not define make()")

    def uniform(self, stream: str | Sequence[str], index: Tensor, count: int) -> Tensor:
        """Random numbers in (0, 1), B×count, for this epoch and purpose (`stream`).

        K·B×count for K purposes.
        """
        return uniform(self.progress.seed, self.progress.epoch, stream, index, count)

    def normalise(self, gray: Tensor) -> Tensor:
        """Normalise intensities in [0, 255], B×H×W, per channel to B×3×H×W."""
        # In place: on a CPU, allocating a batch of images costs more than the division.
        return (gray[:, None] - self.mean).div_(self.std)

    def intensities(self, images: Tensor) -> Tensor:
        """The intensities in 0…255 of normalised B×3×H×W images, the inverse of `normalise`.

        Rounded to integers, as crops are, which removes the rounding errors of the normalisation.
        """
        return torch.addcmul(self.mean, images.float(), self.std).round_()


@VIEWS.register_module()
class SingleView(ViewMaker):
    """One random resized crop per frame, mirrored with probability 0.5 (MAE's recipe).

    Yields ``image`` (B×3×size×size float32, ImageNet-normalised grayscale in three channels),
    ``anatomy`` (B×1×size×size float 0/1, same box, if the pack has it) and ``index``.

    Args:
        size, scale, ratio, flip, mean, std: as in `ViewMaker`.
    """

    def make(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.crop_views(data, self.draw(data))

    def draw(self, data: dict[str, Tensor]) -> Crop:
        """The box of each frame in this epoch."""
        noise = self.uniform("crop", data["index"], CROP_DRAWS)
        return draw_crops(noise, data["valid"], self.scale, self.ratio, self.flip)

    def crop_views(self, data: dict[str, Tensor], crop: Crop) -> dict[str, Tensor]:
        """Crop and normalise each frame, and crop its anatomy alike."""
        gray = crop_bicubic(data["frame"], crop, self.size)
        views = {"image": self.normalise(gray), "index": data["index"]}
        if "anatomy" in data:
            views["anatomy"] = crop_nearest(data["anatomy"], crop, self.size)[:, None]
        return views
