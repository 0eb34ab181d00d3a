"""Views with a map per frame that the method keeps: one attention value per patch (AMT)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmark.data.views.crop import Crop, resize_weights
from benchmark.data.views.single import IMAGENET_MEAN, IMAGENET_STD, SingleView
from benchmark.registry import VIEWS
from benchmark.type_hints import Count, Rate


def crop_maps(
    maps: Tensor, crop: Crop, valid: Tensor, size: int, official_code: bool = False
) -> Tensor:
    """Cut out, mirror and resize (bicubic) maps of whole frames, as their frames are.

    Args:
        maps: B×R×C in [0, 1], spread over the valid part of each frame.
        crop: boxes in pixels of the frames.
        valid: B×2 height and width of the frames.
        size: side of the result in pixels.
        official_code: cut out what the released code of AMT does. There the box is divided by the
            size of the frame without being multiplied by that of the map, so that it is always
            the first two rows and columns of the map, or three where it reaches the far edge.

    Returns:
        B×size×size in [0, 1].
    """
    matrices = []
    upright = torch.zeros_like(crop.flip)
    boxes = ((crop.top, crop.height, upright), (crop.left, crop.width, crop.flip))
    for axis, (start, length, flip) in enumerate(boxes):
        cells, pixels = maps.shape[1 + axis], valid[:, axis]
        if official_code:
            length = (2 + (start + length == pixels).long()).clamp_max(cells)
            start = torch.zeros_like(start)
        else:
            start, length = start * cells / pixels, length * cells / pixels
        matrices.append(resize_weights(start, length, flip, cells, size))
    rows, columns = matrices
    with torch.autocast(maps.device.type, enabled=False):
        return (rows @ maps.float() @ columns.transpose(1, 2)).clamp(0, 1)


@VIEWS.register_module()
class AttentionView(SingleView):
    """`SingleView` whose frames bring along their attention maps (AMT, Liu et al., AAAI 2023).

    Also yields ``attention``, B×1×size×size float32 in [0, 1], cut out by the same box. The table
    of all frames' maps is a buffer, so that a checkpoint holds it.

    Args:
        size, scale, ratio, flip, mean, std: as in `SingleView`.
        official_code: cut the maps out as the released code does, see `crop_maps`.
    """

    attention: Tensor

    def __init__(
        self,
        size: Count = 224,
        scale: tuple[float, float] = (0.2, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        flip: Rate = 0.5,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        official_code: bool = False,
    ) -> None:
        super().__init__(size, scale, ratio, flip, mean, std)
        self.official_code = official_code
        self.register_buffer("attention", torch.empty(0, 1, 1))

    def allocate(self, num_frames: int, grid_size: tuple[int, int]) -> None:
        """A table of ones, num_frames×rows×columns: as yet no patch is preferred."""
        self.attention = torch.ones(num_frames, *grid_size, device=self.attention.device)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        table = state_dict.get(f"{prefix}attention")
        if table is not None and not len(self.attention):
            # A method that was built only to be looked at does not know the number of frames.
            self.attention = torch.empty_like(table, device=self.attention.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def cut(self, data: dict[str, Tensor], crop: Crop) -> dict[str, Tensor]:
        views = super().cut(data, crop)
        if len(self.attention):
            maps = self.attention[data["index"]]
            cut = crop_maps(maps, crop, data["valid"], self.size, self.official_code)
            views["attention"] = cut[:, None]
        return views

    def whole(self, data: dict[str, Tensor]) -> Tensor:
        """The whole frames, resized without regard to their aspect: B×3×size×size."""
        data = self.cast_data(data)
        height, width = data["valid"].unbind(dim=1)
        corner, upright = torch.zeros_like(height), torch.zeros_like(height, dtype=torch.bool)
        return self.cut(data, Crop(corner, corner, height, width, upright))["image"]
