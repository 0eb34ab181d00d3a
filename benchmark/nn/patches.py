"""Images as sequences of patches, in the order of the MAE code: (row, column, channel)."""

from __future__ import annotations

from torch import Tensor

# Variance floor of the per-patch normalisation (MAE, He et al. 2022, official code).
PATCH_EPS = 1e-6


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """B×C×H×W to B×N×(P·P·C), patches in raster order."""
    batch, channels, height, width = images.shape
    rows, columns = height // patch_size, width // patch_size
    blocks = images.reshape(batch, channels, rows, patch_size, columns, patch_size)
    return blocks.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, -1)


def unpatchify(patches: Tensor, patch_size: int, grid: tuple[int, int]) -> Tensor:
    """B×N×(P·P·C) to B×C×H×W, the inverse of `patchify`."""
    batch, _, length = patches.shape
    rows, columns = grid
    channels = length // patch_size**2
    blocks = patches.reshape(batch, rows, columns, patch_size, patch_size, channels)
    return blocks.permute(0, 5, 1, 3, 2, 4).reshape(
        batch, channels, rows * patch_size, columns * patch_size
    )


def patch_statistics(patches: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every patch, each B×N×1.

    The variance is the unbiased one and gets the floor 1e-6, as in the MAE code.
    """
    mean = patches.mean(dim=-1, keepdim=True)
    std = (patches.var(dim=-1, keepdim=True) + PATCH_EPS).sqrt()
    return mean, std
