"""Histograms of oriented gradients as reconstruction targets (LocalMIM, Wang et al., CVPR 2023).

After Dalal & Triggs (CVPR 2005), in the plain form of LocalMIM's code: no Gaussian window, no
interpolation between bins, no blocks. `skimage.feature.hog` and MaskFeat's targets differ in these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.objectives.base import Objective, Reconstruction, masked_mean
from benchmark.nn.patches import patchify
from benchmark.registry import OBJECTIVES
from benchmark.type_hints import Count


def sobel(images: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel gradients along columns and along rows, of the shape of the images (B×C×H×W).

    Borders are reflected. Differences come first and are smoothed after: where an image is flat the
    gradient is exactly zero, and no rounding error is left to be scaled to length 1.
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    across = padded[..., :-2] - padded[..., 2:]
    down = padded[..., :-2, :] - padded[..., 2:, :]
    return (
        across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :],
        down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:],
    )


def _unit_length(histograms: Tensor) -> Tensor:
    """B×bins×H×W, each histogram scaled to length 1; zeros stay zeros."""
    # F.normalize does the same, ten times slower along this axis on a CPU.
    length = histograms.square().sum(dim=1, keepdim=True).sqrt()
    return histograms / length.clamp_min(1e-12)


@OBJECTIVES.register_module()
class HOG(nn.Module):
    """Orientation histograms of an image at several cell sizes.

    Per channel: Sobel gradients with reflected borders; each pixel votes with its gradient
    magnitude for one of `bins` unsigned orientations, ⌊φ/π · bins⌋ mod bins, φ = atan2(gradient
    along columns, gradient along rows); votes are averaged over square cells, and the histogram of
    a cell is scaled to length 1 (a flat cell stays zero). In float32, without gradients.

    Args:
        bins: orientations in half a turn.
    """

    def __init__(self, bins: Count = 9) -> None:
        super().__init__()
        self.bins = bins

    def features(self, channels: int) -> int:
        """Numbers per cell of an image with so many channels."""
        return channels * self.bins

    @torch.no_grad()
    def forward(self, images: Tensor, cells: Sequence[int]) -> list[Tensor]:
        """Histograms at each cell size.

        Args:
            images: B×C×H×W, any scale: a factor or an offset per channel changes nothing.
            cells: sides of the cells in pixels; multiples of the smallest, divisors of H and W.

        Returns:
            For each cell size c a tensor B×(C·bins)×(H/c)×(W/c), channel by channel.

        Raises:
            InputError: the cells do not tile the image or each other.
        """
        batch, channels, height, width = images.shape
        finest = min(cells)
        if any(cell % finest or height % cell or width % cell for cell in cells):
            raise InputError(
                f"HOG: cells {tuple(cells)} must be multiples of the smallest and divide the "
                f"image of {height}×{width} pixels"
            )
        with torch.autocast(images.device.type, enabled=False):
            # Channel by channel: the votes are `bins` times the size of what they are cast from.
            votes = torch.stack(
                [
                    F.avg_pool2d(self._votes(channel), finest)
                    for channel in images.float().split(1, 1)
                ],
                dim=1,
            ).flatten(0, 1)
            # Cells tile each other, so the mean of a coarse cell is the mean of its fine ones.
            pooled = (F.avg_pool2d(votes, cell // finest) for cell in cells)
            return [
                _unit_length(histograms).unflatten(0, (batch, channels)).flatten(1, 2)
                for histograms in pooled
            ]

    def _votes(self, channel: Tensor) -> Tensor:
        """What each pixel adds to each orientation: B×1×H×W to B×bins×H×W."""
        across, down = sobel(channel)
        phase = torch.atan2(across, down)
        orientation = (phase / math.pi * self.bins).floor().long() % self.bins
        magnitude = torch.hypot(across, down)
        votes = magnitude.new_zeros(len(channel), self.bins, *channel.shape[2:])
        return votes.scatter_(1, orientation, magnitude)


@OBJECTIVES.register_module()
class HOGReconstruction(Objective):
    """Gradient histograms of the masked patches (MaskFeat, Wei et al., CVPR 2022, §3).

    The squared error to `HOG` of the image; a patch holds (P/cell)² cells.

    Args:
        cell: side of a cell in pixels; divides the patch size.
        bins: orientations in half a turn.
        weight: factor of the term in the total.
    """

    name = "hog"

    def __init__(self, cell: Count = 8, bins: Count = 9, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.cell = cell
        self.hog = HOG(bins)

    def width(self, patch_size: int, channels: int) -> int:
        """Values per patch: cells × channels × orientations.

        Raises:
            InputError: the cells do not tile a patch.
        """
        if patch_size % self.cell:
            raise InputError(f"HOG: cell={self.cell} does not divide patch_size={patch_size}")
        return (patch_size // self.cell) ** 2 * self.hog.features(channels)

    def forward(
        self, reconstruction: Reconstruction, views: dict[str, Tensor], progress: Progress
    ) -> Tensor:
        (histograms,) = self.hog(views["image"], (self.cell,))
        target = patchify(histograms, reconstruction.patch_size // self.cell)
        errors = (reconstruction.prediction.float() - target).square().mean(dim=-1)
        return masked_mean(errors, reconstruction.mask.mask)
