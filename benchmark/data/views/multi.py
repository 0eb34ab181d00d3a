"""Several views per frame: two global views, and optionally local crops (multi-crop).

View makers as in `benchmark.data.views.single`: crops and augmentations of a frame are functions of
(seed, epoch, index, view).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmark.data.views.crop import CROP_DRAWS, Crop, crop_bicubic, draw_crops
from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.data.views.intensity import DRAWS, Intensity
from benchmark.data.views.single import ViewMaker
from benchmark.registry import VIEWS
from benchmark.type_hints import Count, Natural, Rate

Recipe = dict[str, Any]
"""Arguments of `Intensity`."""


class MultiViewMaker(ViewMaker):
    """Base class for several views per frame."""

    def _crop(
        self, data: dict[str, Tensor], names: Sequence[str], scale: tuple[float, float]
    ) -> Crop:
        """Boxes of the views `names`, K·B: those of the first view of all frames, and so on."""
        noise = self.uniform([f"crop {name}" for name in names], data["index"], CROP_DRAWS)
        valid = data["valid"].repeat(len(names), 1)
        return draw_crops(noise, valid, scale, self.ratio, self.flip)


def crop_parameters(crop: Crop) -> Tensor:
    """A crop as B×5 floats: top, left, height, width in pixels of the frame, mirrored 0/1."""
    return torch.stack([part.float() for part in crop], dim=1)


@VIEWS.register_module()
class TwoViews(MultiViewMaker):
    """Two independent random resized crops of each frame, each augmented independently.

    Yields ``image_0`` and ``image_1`` (B×3×size×size float32, ImageNet-normalised grayscale in
    three channels), ``box_0`` and ``box_1`` (see `crop_parameters`), and ``index``.

    Args:
        size, scale, ratio, flip, mean, std: as in `ViewMaker`.
        intensity: arguments of `Intensity` for the first and for the second view.
    """

    def __init__(
        self,
        size: Count = 224,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: Rate = 0.5,
        intensity: Sequence[Recipe] = ({}, {}),
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__(size, scale, ratio, flip, mean, std)
        first, second = (Intensity(**recipe) for recipe in intensity)
        self.intensity = (first, second)

    def make(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        names = [str(number) for number in range(len(self.intensity))]
        crop = self._crop(data, names, self.scale)
        gray = crop_bicubic(data["frame"], crop, self.size)
        noise = self.uniform([f"grey {name}" for name in names], data["index"], DRAWS)
        parts = zip(*(part.chunk(len(names)) for part in (gray, noise, crop_parameters(crop))))
        views = {"index": data["index"]}
        for name, intensity, (image, draws, box) in zip(names, self.intensity, parts):
            views[f"image_{name}"] = self.normalise(intensity(image, draws)[0])
            views[f"box_{name}"] = box
        return views


@VIEWS.register_module()
class MultiCrop(TwoViews):
    """`TwoViews` plus local crops (SwAV, Caron et al., NeurIPS 2020; DINO).

    Adds ``local``, (count·B)×3×local_size×local_size: the first local crops of all frames, then the
    second, and so on.

    Args:
        size, scale, ratio, flip, intensity, mean, std: as in `TwoViews`.
        local_count: local crops per frame; 0 for none.
        local_size: side of a local view in pixels.
        local_scale: area of a local crop relative to the frame.
        local_intensity: arguments of `Intensity` for local crops.
    """

    def __init__(
        self,
        local_count: Natural = 8,
        local_size: Count = 96,
        local_scale: tuple[float, float] = (0.05, 0.4),
        local_intensity: Recipe | None = None,
        **two_views: Any,
    ) -> None:
        super().__init__(**two_views)
        self.local_count = local_count
        self.local_size = local_size
        self.local_scale = tuple(local_scale)
        self.local_intensity = Intensity(**(local_intensity or {}))

    def make(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        views = super().make(data)
        names = [f"local {number}" for number in range(self.local_count)]
        if not names:
            return views
        # All crops at once need few kernels on a GPU. A CPU is faster with one at a time, which
        # stays in its caches; its rounding of some functions depends on the position in a batch.
        on_cpu = data["frame"].device.type == "cpu"
        groups = [[name] for name in names] if on_cpu else [names]
        views["local"] = torch.cat([self._local(data, group) for group in groups])
        return views

    def _local(self, data: dict[str, Tensor], names: Sequence[str]) -> Tensor:
        """The local crops `names` of all frames, K·B×3×local_size×local_size."""
        crop = self._crop(data, names, self.local_scale)
        gray = crop_bicubic(data["frame"], crop, self.local_size)
        noise = self.uniform([f"grey {name}" for name in names], data["index"], DRAWS)
        return self.normalise(self.local_intensity(gray, noise)[0])
