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

    def _rectangles(self, noise: Tensor, target: Tensor, patience: int | None = None) -> Tensor:
        """Patches of accepted rectangles, B×N bool.

        A rectangle depends on the earlier ones only through the number of patches they mask. So all
        are drawn at once, for every such number; only looking a rectangle up and accepting it or
        not remain sequential.

        Args:
            noise: B×4·attempts.
            target: B×1, number of patches to mask.
            patience: number of rejected rectangles in a row after which there are no more.
        """
        most, batch = self.num_patches - self.keep, len(target)
        drawn = self._draw(noise, target, most)
        segments = self._segments(noise.device)
        # The row of `drawn`: sample · (most + 1) + number of masked patches.
        first = torch.arange(batch, device=noise.device) * (most + 1)
        limit = first + target[:, 0].floor().long().clamp_max(most)
        masks = [torch.zeros(batch, self.side, self.side, dtype=torch.bool, device=noise.device)]
        states = [first]
        for rectangles in drawn:
            sides = segments.index_select(0, rectangles.index_select(0, states[-1]).flatten())
            rows, columns = sides.view(batch, 2, self.side).unbind(dim=1)
            block = rows[:, :, None] & columns[:, None, :]
            after = states[-1] + (block > masks[-1]).sum(dim=(1, 2))
            accepted = after <= limit
            states.append(torch.where(accepted, after, states[-1]))
            masks.append(masks[-1] | (block & accepted[:, None, None]))
        if patience is None or patience > self.attempts:
            return masks[-1].flatten(1)
        # Up to the first point after which `patience` rectangles in a row change nothing.
        numbers = torch.stack(states)
        stuck = numbers[patience:] == numbers[:-patience]
        stop = torch.where(stuck.any(dim=0), stuck.int().argmax(dim=0), self.attempts)
        return torch.stack(masks)[stop, torch.arange(batch, device=noise.device)].flatten(1)

    def _draw(self, noise: Tensor, target: Tensor, most: int) -> Tensor:
        """All rectangles as rows of `_segments`, attempts×B·(most + 1)×2: rows and columns.

        The second axis holds those of each sample after 0, 1, …, `most` masked patches. A rectangle
        that does not fit into the grid is empty.
        """
        draws = noise.unflatten(1, (self.attempts, 4)).permute(2, 1, 0).contiguous()
        area_u, aspect_u, row_u, column_u = draws[..., None]
        # Exact in floats: whether patches are subtracted one by one or together.
        left = (target - torch.arange(most + 1, device=noise.device)).clamp_min_(0)
        # As in BEiT, the area is drawn between the smallest and what is left, which may be less.
        area = (area_u * (left - self.smallest)).add_(self.smallest)
        aspect = torch.exp(self.log_aspect * (1 - 2 * aspect_u))
        height, width = (area * aspect).sqrt_().round_(), area.div_(aspect).sqrt_().round_()
        fits = (height < self.side) & (width < self.side)
        segments = []
        for place, length in ((row_u, height), (column_u, width)):
            start = (place * (self.side - length + 1)).floor_()
            segments.append(start.mul_(self.side).add_(length).mul_(fits).int())
        return torch.stack(segments, dim=-1).flatten(1, 2)

    def _segments(self, device: torch.device) -> Tensor:
        """Cells of every segment of a side, (side + 1)·side×side bool: start · side + length."""
        cell = torch.arange(self.side, device=device)
        start = torch.arange(self.side + 1, device=device)[:, None, None]
        return ((cell >= start) & (cell < start + cell[:, None])).flatten(0, 1)
