"""Views with one attention map per frame, which the method updates: one value per patch (AMT)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmark.data.views.crop import Crop, bilinear, crop_matrix, resize_weights
from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.data.views.single import SingleView
from benchmark.registry import VIEWS
from benchmark.type_hints import Count, Rate


def crop_maps(
    maps: Tensor, crop: Crop, valid: Tensor, size: int, official_code: bool = False
) -> Tensor:
    """Crop and mirror maps of full frames like the frames themselves; resize them (bilinear).

    The paper does not state the interpolation; the released code's is used, also by default.

    Args:
        maps: B×R×C in [0, 1], covering the valid part of each frame.
        crop: boxes in pixels of the frames.
        valid: B×2 height and width of the frames.
        size: side of the result in pixels.
        official_code: crop as the released code of AMT does: it divides the box by the frame size
            without multiplying by the map size, so that the crop is always the first two rows and
            columns of the map, or three if the box reaches the far edge.

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
        matrices.append(resize_weights(start, length, flip, cells, size, bilinear))
    rows, columns = matrices
    with torch.autocast(maps.device.type, enabled=False):
        return (rows @ maps.float() @ columns.transpose(1, 2)).clamp(0, 1)


@VIEWS.register_module()
class AttentionView(SingleView):
    """`SingleView` with the attention maps of its frames (AMT, Liu et al., AAAI 2023).

    Also yields ``attention``, B×1×size×size float32 in [0, 1], from the same crop. The table of all
    maps is a buffer, so that checkpoints contain it.

    Args:
        size, scale, ratio, flip, mean, std: as in `ViewMaker`.
        official_code: crop the maps as the released code does, see `crop_maps`.
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
        """Initialise the table, num_frames×rows×columns, with ones: no patch is preferred."""
        self.attention = torch.ones(num_frames, *grid_size, device=self.attention.device)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        table = state_dict.get(f"{prefix}attention")
        if table is not None and not len(self.attention):
            # Without data, the number of frames is known only from the checkpoint.
            self.attention = torch.empty_like(table, device=self.attention.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def crop_views(self, data: dict[str, Tensor], crop: Crop) -> dict[str, Tensor]:
        views = super().crop_views(data, crop)
        if len(self.attention):
            maps = self.attention[data["index"]]
            cut = crop_maps(maps, crop, data["valid"], self.size, self.official_code)
            views["attention"] = cut[:, None]
        return views

    def full_frames(self, data: dict[str, Tensor]) -> Tensor:
        """Full frames of a batch on this device, B×3×size×size, whatever their aspect ratio.

        Resized with the bilinear kernel of the released code, unlike views, which are bicubic.
        """
        height, width = data["valid"].unbind(dim=1)
        zero, unflipped = torch.zeros_like(height), torch.zeros_like(height, dtype=torch.bool)
        crop = Crop(zero, zero, height, width, unflipped)
        return self.normalise(crop_matrix(data["frame"], crop, self.size, bilinear))
