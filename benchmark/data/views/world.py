"""Two views of equal size per frame, and the transformations between them (CheXWorld).

A view maker as in `benchmark.data.views.single` that also yields what a world model is conditioned
on: the position of one view relative to the other, and the intensity augmentation of each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark.data.views.crop import Crop, crop_bicubic
from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.data.views.intensity import DRAWS, Intensity
from benchmark.data.views.multi import MultiViewMaker, Recipe, crop_parameters
from benchmark.errors import InputError
from benchmark.registry import VIEWS
from benchmark.type_hints import Count, Rate

POSITION_DRAWS = 3
"""Number of uniform random numbers for the second view: row, column and mirroring."""


class OrderedIntensity(Intensity):
    """`Intensity` with brightness always before contrast, so that its parameters determine it."""

    def draw(self, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        parameters, contrast_first, solarized = super().draw(noise)
        return parameters, torch.zeros_like(contrast_first), solarized


def relative_position(first: Crop, second: Crop, frame_width: Tensor) -> Tensor:
    """Position of `second` relative to `first`, a view of equal size, B×4.

    A mirrored view is a crop of the mirrored frame, and its column counts from the left edge of
    that frame.

    Returns:
        (row₂ − row₁)/h, (column₂ − column₁)/w, whether exactly one is mirrored (0/1), and
        (W − column₁ − column₂)/w: the left edge of `second`, mirrored, relative to `first`.
    """
    columns = [
        torch.where(crop.flip, frame_width - crop.left - crop.width, crop.left)
        for crop in (first, second)
    ]
    width = first.width.float()
    return torch.stack(
        [
            (second.top - first.top) / first.height.float(),
            (columns[1] - columns[0]) / width,
            (first.flip ^ second.flip).float(),
            (frame_width - columns[0] - columns[1]) / width,
        ],
        dim=1,
    )


def jitter_frames(frames: Tensor, valid: Tensor, factors: Tensor, contrast_first: Tensor) -> Tensor:
    """Change brightness and contrast of full frames, B×S×S uint8, like PIL's enhancers.

    Args:
        frames: frames whose padding is excluded from the mean used for contrast.
        valid: B×2 height and width of the frames.
        factors: B×2 of brightness and contrast.
        contrast_first: B bool.
    """
    cell = torch.arange(frames.shape[1], device=frames.device)
    rows, columns = (cell < side[:, None] for side in valid.unbind(dim=1))
    inside = rows[:, :, None] & columns[:, None, :]
    pixels = valid.prod(dim=1)[:, None, None]
    brightness, contrast = factors[:, :, None, None].unbind(dim=1)
    contrast_first = contrast_first[:, None, None]

    def stretch(gray: Tensor, factor: Tensor) -> Tensor:
        mean = ((gray * inside).sum(dim=(1, 2), keepdim=True) / pixels + 0.5).floor()
        return (mean + (gray - mean) * factor).round().clamp(0, 255)

    gray = stretch(frames.float(), torch.where(contrast_first, contrast, 1.0))
    gray = (gray * brightness).round().clamp(0, 255)
    return stretch(gray, torch.where(contrast_first, 1.0, contrast)).to(torch.uint8)


@VIEWS.register_module()
class WorldViews(MultiViewMaker):
    """Two views of equal size, each clean and augmented (CheXWorld, Yue et al., CVPR 2025, code).

    The full frame is jittered first, and both views are cropped from the result: the first as a
    random resized crop, the second as a box of the same size anywhere in the frame. Each is
    mirrored independently. A copy of each is then augmented.

    Yields for k = 0 and 1 ``image_k`` (clean) and ``changed_k`` (augmented), both B×3×size×size
    float32, ImageNet-normalised grayscale in three channels; ``change_k``, B×5: brightness,
    contrast, gamma, blur σ in pixels of the view and noise level (always 0: the published recipe
    adds none) of ``changed_k``, 1, 1, 1, 0, 0 if unchanged; ``box_k``; ``place_01``, B×4: the
    position of view 1 relative to view 0 (see `relative_position`); ``place_10``, vice versa; and
    ``index``.

    Args:
        size, scale, ratio, flip, mean, std: as in `ViewMaker`.
        jitter: arguments of `Intensity` for the full frame; brightness, contrast and `jitter` only.
        change: arguments of `Intensity` for the copies, without solarisation.

    Raises:
        InputError: `jitter` or `change` asks for what the view does not support.
    """

    def __init__(
        self,
        size: Count = 224,
        scale: tuple[float, float] = (0.3, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: Rate = 0.5,
        jitter: Recipe | None = None,
        change: Recipe | None = None,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__(size, scale, ratio, flip, mean, std)
        self.jitter = Intensity(**(jitter or {}))
        self.change = OrderedIntensity(**(change or {}))
        if self.jitter.gamma > 1 or self.jitter.blur or self.jitter.solarize:
            raise InputError("views: jitter supports brightness and contrast only")
        if self.change.solarize:
            raise InputError("views: change.solarize must be 0, the model is not conditioned on it")

    def _second(self, first: Crop, data: dict[str, Tensor]) -> Crop:
        """Sample a box of the size of `first` anywhere in the frame."""
        noise = self.uniform("crop 1", data["index"], POSITION_DRAWS).double()
        room = data["valid"] - torch.stack([first.height, first.width], dim=1) + 1
        top, left = (noise[:, :2] * room).floor().long().unbind(dim=1)
        return Crop(top, left, first.height, first.width, noise[:, 2] < self.flip)

    def _jittered(self, data: dict[str, Tensor]) -> Tensor:
        if not self.jitter.jitter:
            return data["frame"]
        noise = self.uniform("grey frame", data["index"], DRAWS)
        parameters, contrast_first, _ = self.jitter.draw(noise)
        return jitter_frames(data["frame"], data["valid"], parameters[:, :2], contrast_first)

    def make(self, data: dict[str, Tensor]) -> dict[str, Tensor]:
        frames = self._jittered(data)
        first = self._crop(data, ["0"], self.scale)
        crops = (first, self._second(first, data))
        views = {"index": data["index"]}
        for number, crop in enumerate(crops):
            gray = crop_bicubic(frames, crop, self.size)
            noise = self.uniform(f"grey {number}", data["index"], DRAWS)
            changed, change = self.change(gray, noise)
            views[f"image_{number}"] = self.normalise(gray)
            views[f"changed_{number}"] = self.normalise(changed)
            views[f"change_{number}"] = torch.cat([change, torch.zeros_like(change[:, :1])], dim=1)
            views[f"box_{number}"] = crop_parameters(crop)
        width = data["valid"][:, 1]
        views["place_01"] = relative_position(crops[0], crops[1], width)
        views["place_10"] = relative_position(crops[1], crops[0], width)
        return views
