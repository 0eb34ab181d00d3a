"""Images as sequences of patches; pixels in the order of the MAE code: (row, column, channel)."""

from __future__ import annotations

import torch
from torch import Tensor

# Added to the variance in per-patch normalisation (MAE, He et al. 2022, official code).
PATCH_EPS = 1e-6


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """B×C×H×W to B×N×(P·P·C), patches in raster order."""
    batch, channels, height, width = images.shape
    rows, columns = height // patch_size, width // patch_size
    blocks = images.reshape(batch, channels, rows, patch_size, columns, patch_size)
    return blocks.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, -1)


def unpatchify(patches: Tensor, patch_size: int, grid: tuple[int, int]) -> Tensor:
    """B×N×(P·P·C) to B×C×H×W, the inverse of `patchify`; the result is channels-last in memory."""
    batch, _, length = patches.shape
    rows, columns = grid
    channels = length // patch_size**2
    blocks = patches.reshape(batch, rows, columns, patch_size, patch_size, channels)
    # Channels stay innermost, so that rows of patches are copied rather than single values.
    images = blocks.transpose(2, 3).reshape(
        batch, rows * patch_size, columns * patch_size, channels
    )
    return images.permute(0, 3, 1, 2)


def standardise(patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per-patch normalisation to zero mean and unit variance (MAE, He et al. 2022, §3).

    The variance is the unbiased estimate plus 1e-6, as in the MAE code. From B×N×V: normalised
    patches, means and standard deviations, the latter two B×N×1.
    """
    mean = patches.mean(dim=-1, keepdim=True)
    centred = patches - mean
    # Several times faster on a CPU than torch.var, which keeps running sums.
    squares = torch.linalg.vector_norm(centred, dim=-1, keepdim=True).square()
    std = (squares / (patches.shape[-1] - 1) + PATCH_EPS).sqrt()
    return centred / std, mean, std
