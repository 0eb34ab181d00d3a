"""Block-wise masking: square units of a grid (SimMIM), or random rectangles (BEiT)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.masking.random import (
    Mask,
    check_masked,
    mask_highest,
    patch_noise,
    visible_patches,
)
from benchmark.registry import MASKINGS
from benchmark.type_hints import Count, Rate, Share


def grid_side(num_patches: int) -> int:
    """Rows (and columns) of a square grid of patches.

    Raises:
        InputError: the grid is not square.
    """
    side = math.isqrt(num_patches)
    if side * side != num_patches:
        raise InputError(f"masking: {num_patches} patches do not form a square grid")
    return side


@MASKINGS.register_module()
class UnitMasking(nn.Module):
    """Random masking of square units of several patches (SimMIM, Xie et al., CVPR 2022, §3.2).

    The ⌈ratio · units⌉ units with the highest noise are masked. Noise, one value per unit, can be
    passed in as ``views["mask_noise"]``.

    Args:
        num_patches, patch_size: as in `RandomMasking`; the grid is square.
        ratio: fraction of masked units.
        unit: side of a unit in pixels, a multiple of the patch size.

    Raises:
        InputError: units do not tile the image, no unit would be masked, or none visible.
    """

    def __init__(
        self, num_patches: Count, patch_size: Count, ratio: Rate = 0.6, unit: Count = 32
    ) -> None:
        super().__init__()
        side = grid_side(num_patches)
        if unit % patch_size or side * patch_size % unit:
            raise InputError(
                f"masking: unit={unit} must be a multiple of patch_size={patch_size} and divide "
                f"the image of {side * patch_size} pixels"
            )
        self.repeat = unit // patch_size
        self.side = side // self.repeat
        units = self.side**2
        # Products such as 0.6 * 35 exceed the intended integer by a rounding error.
        masked = math.ceil(ratio * units - 1e-6)
        check_masked(units, masked, ratio, "units")
        self.visible_units = units - masked
        self.keep = self.visible_units * self.repeat**2

    def forward(self, views: dict[str, Tensor], progress: Progress) -> Mask:
        noise = patch_noise(views, progress, "mask_noise", self.side**2)
        units = mask_highest(noise, self.visible_units).mask.unflatten(1, (1, self.side, -1))
        patches = F.interpolate(units, scale_factor=self.repeat, mode="nearest").flatten(1)
        return mask_highest(patches, self.keep)


@MASKINGS.register_module()
class BlockMasking(nn.Module):
    """Block-wise masking (BEiT, Bao et al., ICLR 2022, algorithm 1; also used by iBOT).

    Rectangles of random area, aspect ratio and position are drawn one after the other. A rectangle
    is accepted if it fits into the grid, adds at least one patch, and no more than are still to be
    masked of ⌊ratio·N⌋. BEiT may mask fewer; here all images of a batch mask equally many, so the
    remainder after `attempts` rectangles is sampled uniformly.

    Noise can be passed in as ``views["block_noise"]`` (B×4·attempts: area, aspect, row and column
    of each rectangle) and ``views["mask_noise"]`` (B×N, for the remainder).

    Args:
        num_patches, patch_size, ratio: as in `RandomMasking`; the grid is square.
        smallest: area of the smallest rectangle in patches (16 in BEiT's code, for 14×14 patches).
        aspect: smallest ratio of height to width; the largest is its inverse.
        attempts: number of rectangles drawn.

    Raises:
        InputError: no patch would be masked, or none visible.
    """

    def __init__(
        self,
        num_patches: Count,
        patch_size: Count,
        ratio: Rate = 0.4,
        smallest: Count = 16,
        aspect: Share = 0.3,
        attempts: Count = 40,
    ) -> None:
        super().__init__()
        self.num_patches = num_patches
        self.side = grid_side(num_patches)
        self.keep = visible_patches(num_patches, ratio)
        self.smallest = smallest
        self.log_aspect = math.log(aspect)
        self.attempts = attempts

    def forward(self, views: dict[str, Tensor], progress: Progress) -> Mask:
        shape = patch_noise(views, progress, "block_noise", 4 * self.attempts)
        fill = patch_noise(views, progress, "mask_noise", self.num_patches)
        masked = self._rectangles(shape, torch.full_like(fill[:, :1], self.num_patches - self.keep))
        # Noise lies in (0, 1): adding 1 ranks the patches of rectangles above all others.
        return mask_highest(fill + masked, self.keep)

    def _rectangles(self, noise: Tensor, left: Tensor, patience: float = math.inf) -> Tensor:
        """Patches of accepted rectangles, B×N bool.

        Args:
            noise: B×4·attempts.
            left: B×1, number of patches to mask.
            patience: number of rejected rectangles in a row after which there are no more.
        """
        masked = torch.zeros(len(left), self.num_patches, dtype=torch.bool, device=left.device)
        failures = torch.zeros_like(left)
        for numbers in noise.split(4, dim=1):
            block = self._rectangle(numbers, left)
            added = (block & ~masked).sum(dim=1, keepdim=True)
            accepted = (added > 0) & (added <= left) & (failures < patience)
            masked = masked | (block & accepted)
            left = left - added * accepted
            failures = torch.where(accepted, 0, failures + 1)
        return masked

    def _rectangle(self, noise: Tensor, left: Tensor) -> Tensor:
        """Patches of one rectangle per sample, B×N bool; none if it does not fit."""
        area_u, aspect_u, row_u, column_u = noise.split(1, dim=1)
        # As in BEiT, the area is drawn between the smallest and what is left, which may be less.
        area = self.smallest + area_u * (left - self.smallest)
        aspect = torch.exp(self.log_aspect * (1 - 2 * aspect_u))
        height, width = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
        fits = (height < self.side) & (width < self.side)
        top = (row_u * (self.side - height + 1)).floor()
        start = (column_u * (self.side - width + 1)).floor()
        cell = torch.arange(self.side, device=noise.device)
        rows = (cell >= top) & (cell < top + height)
        columns = (cell >= start) & (cell < start + width)
        return (rows[:, :, None] & columns[:, None, :]).flatten(1) & fits
