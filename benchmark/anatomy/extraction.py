"""Vascular anatomy of a frame: the binary vessel mask B that VasoMIM trains its segmentor on.

The four steps of VasoMIM (`docs/protocol.md`): vesselness, zeroing the border, a percentile
threshold, and region growing from the maximum. Everything is batched; a mask depends on its frame
only.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmark.anatomy.vesselness import vesselness
from benchmark.errors import InputError


def vessel_mask(
    frames: Tensor,
    kind: str = "sato",
    alpha: float = 92.0,
    border: int = 20,
    valid: Tensor | None = None,
) -> Tensor:
    """Vessel masks of a batch of frames.

    On the CPU, frames are processed one by one; use several single-threaded processes for
    throughput, since one frame is too little work for several threads.

    Args:
        frames: B×H×W, uint8 or floating-point, intensities 0..255; vessels are dark.
        kind: vesselness filter: ``"sato"`` (authors' code), ``"frangi"`` or ``"hessian"``.
        alpha: percentile of the vesselness over the frame, including the border; pixels at or above
            it are kept.
        border: width in pixels of the margin that is set to background, whatever the frame size;
            the authors use 20 px for frames of about 512×512.
        valid: int B×2, height and width of the top left region that holds the image, if frames
            were padded to a common size. Border and percentile refer to this region. None: no
            padding.

    Returns:
        bool B×H×W on the device of `frames`. Empty for a frame of zero vesselness.

    Raises:
        InputError: unknown `kind`, wrong shape or type, or a parameter out of range.
    """
    if not 0 <= alpha <= 100:
        raise InputError(f"alpha {alpha}: expected a percentile from 0 to 100")
    if border < 0:
        raise InputError(f"border {border}: expected 0 or more pixels")
    if valid is None:
        return _masks_of_full_frames(frames, kind, alpha, border)
    if valid.shape != (len(frames), 2):
        raise InputError(f"valid of shape {tuple(valid.shape)}: expected {len(frames)}×2")
    height, width = frames.shape[1:]
    result = torch.zeros(frames.shape, dtype=torch.bool, device=frames.device)
    sizes = valid.tolist()
    for rows, columns in sorted({tuple(size) for size in sizes}):
        if not (0 < rows <= height and 0 < columns <= width):
            raise InputError(f"valid region {rows}×{columns}: frames are {height}×{width}")
        same = [i for i, size in enumerate(sizes) if tuple(size) == (rows, columns)]
        index = torch.tensor(same, device=frames.device)
        part = frames[index, :rows, :columns]
        result[index, :rows, :columns] = _masks_of_full_frames(part, kind, alpha, border)
    return result


def _masks_of_full_frames(frames: Tensor, kind: str, alpha: float, border: int) -> Tensor:
    # On the CPU one frame at a time, which keeps intermediate results in the cache.
    if frames.device.type == "cpu" and len(frames) > 1:
        masks = [_masks_of_full_frames(frame, kind, alpha, border) for frame in frames.split(1)]
        return torch.cat(masks)
    value = clear_border(vesselness(frames, kind), border)
    keep = value >= percentile_threshold(value, alpha)[:, None, None]
    keep &= value > 0
    seed = value.flatten(1).argmax(1)  # the first of equal maxima, in raster order
    return grow_region(keep, seed)


def clear_border(value: Tensor, border: int) -> Tensor:
    """Zero a margin of `border` pixels of B×H×W, in place."""
    for side in (value, value.transpose(1, 2)):
        length = side.shape[1]
        side[:, :border] = 0
        side[:, max(0, length - border) :] = 0
    return value


def percentile_threshold(value: Tensor, alpha: float) -> Tensor:
    """The smallest value of each frame that is not below its `alpha`-th percentile.

    ``value >= percentile_threshold(value, alpha)`` keeps exactly the pixels that
    ``value >= np.percentile(value, alpha)`` keeps: the linearly interpolated percentile lies
    between two adjacent sorted values, above the lower one unless equal to it. A single order
    statistic therefore suffices, and integer levels stay integers. B×H×W to B of the same type.
    """
    flat = value.flatten(1)
    rank = math.ceil((flat.shape[1] - 1) * (alpha / 100))
    if flat.device.type == "cpu" and flat.dtype == torch.uint8:
        counts = torch.zeros(len(flat), 256, dtype=torch.int64)
        for row, levels in zip(counts, flat):
            row += torch.bincount(levels, minlength=256)
        return (counts.cumsum(1) <= rank).sum(1).to(torch.uint8)
    if flat.device.type == "cpu":
        ordered = np.partition(flat.numpy(), rank, axis=1)
        return torch.from_numpy(ordered[:, rank].copy())
    return flat.kthvalue(rank + 1, dim=1).values


def grow_region(keep: Tensor, seed: Tensor) -> Tensor:
    """The 4-connected component of `keep`, bool B×H×W, that contains the seed.

    `seed` is the flat index row·W + column in each frame, int64 B. A frame whose seed is not in
    `keep` gives an empty mask.
    """
    if keep.device.type == "cpu":
        return _grow_by_scanlines(keep, seed)
    return grow_by_pointer_jumping(keep, seed)


def _grow_by_scanlines(keep: Tensor, seed: Tensor) -> Tensor:
    """OpenCV's flood fill per frame, which visits only the component."""
    width = keep.shape[2]
    image = keep.to(torch.uint8).contiguous()
    for canvas, position in zip(image.numpy(), seed.tolist()):
        row, column = divmod(position, width)
        if canvas[row, column]:
            cv2.floodFill(canvas, None, (column, row), 2, flags=4)
    return image == 2


def grow_by_pointer_jumping(keep: Tensor, seed: Tensor) -> Tensor:
    """`grow_region` as batched tensor operations, for GPUs.

    Connected components by label propagation with pointer jumping (FastSV; Zhang, Azad and Buluç,
    SIAM PP 2020): every pixel points to a pixel of its component with a smaller or equal index;
    each round propagates the smallest root of neighbours to the roots, then halves the paths. The
    number of rounds is logarithmic in the length of the component; the only host sync is the
    convergence test, once per round.
    """
    batch, height, width = keep.shape
    parent = torch.arange(keep.numel(), device=keep.device)
    joined = [torch.logical_and(*_neighbours(keep, dim)) for dim in (1, 2)]
    while True:
        root = parent[parent].view(keep.shape)
        smallest = root.clone()
        for dim, both in zip((1, 2), joined):
            candidate = torch.where(both, torch.minimum(*_neighbours(root, dim)), keep.numel())
            for end in _neighbours(smallest, dim):
                torch.minimum(end, candidate, out=end)
        smallest = smallest.flatten()
        updated = smallest.scatter_reduce(0, parent, smallest, "amin")
        updated = torch.minimum(updated, updated[updated])
        if torch.equal(updated, parent):
            break
        parent = updated
    start = seed.to(keep.device) + torch.arange(batch, device=keep.device) * (height * width)
    same = parent.view(batch, -1) == parent[start][:, None]
    return same.view(keep.shape) & keep


def _neighbours(maps: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """First and second element of all neighbouring pairs along `dim`, as views."""
    pairs = maps.shape[dim] - 1
    return maps.narrow(dim, 0, pairs), maps.narrow(dim, 1, pairs)
