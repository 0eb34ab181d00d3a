"""Applying a network of fixed input size to a frame of any size, in blended windows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from torch import Tensor


def mirrored(length: int, size: int) -> np.ndarray:
    """Indices that lengthen an axis of `length` to `size` by reflection, edge pixel repeated.

    Returns:
        int64 of length max(length, size); the first `length` are 0, 1, 2, …
    """
    return np.pad(np.arange(length), (0, max(size - length, 0)), mode="symmetric")


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """Where the windows along one axis begin: evenly spaced, from 0 to length − window.

    Args:
        length: pixels of the axis, at least `window`.
        window: pixels of a window.
        overlap: minimum fraction of a window shared with the next one, 0 ≤ overlap < 1.
    """
    stride = max(int(window * (1 - overlap)), 1)
    gaps = -(-(length - window) // stride)
    return [number * (length - window) // gaps for number in range(gaps + 1)] if gaps else [0]


def in_windows(
    network: Callable[[Tensor], Tensor], frame: Tensor, window: int, overlap: float, batch: int = 16
) -> Tensor:
    """Apply a network of fixed size to a frame of any size.

    The result at a pixel is the mean over the windows it lies in, weighted by a pyramid that is
    highest in the middle of a window, where the network sees most around the pixel, and falls to
    its border, so that no seam is left. The weights are integers, so that integers up to 255 on
    which the windows agree are kept exactly. A frame smaller than the window is mirrored at its
    lower and right side, and the result cut back.

    Args:
        network: B×1×window×window to the same shape.
        frame: 1×H×W.
        window: side of the network's input in pixels.
        overlap: see `window_starts`.
        batch: windows that pass through the network at once.

    Returns:
        1×H×W.
    """
    height, width = frame.shape[1:]
    rows, columns = (
        torch.from_numpy(mirrored(length, window)).to(frame.device) for length in (height, width)
    )
    frame = frame[:, rows[:, None], columns]
    corners = list(product(*(window_starts(length, window, overlap) for length in frame.shape[1:])))
    windows = torch.stack([frame[:, y : y + window, x : x + window] for y, x in corners])
    results = torch.cat([network(part) for part in windows.split(batch)])
    ramp = torch.arange(1, window + 1, device=frame.device, dtype=results.dtype)
    side = torch.minimum(ramp, ramp.flip(0))
    weight = side[:, None] * side
    total, weights = torch.zeros_like(frame, dtype=results.dtype), torch.zeros_like(frame)
    for (y, x), result in zip(corners, results):
        total[:, y : y + window, x : x + window] += weight * result
        weights[:, y : y + window, x : x + window] += weight
    return (total / weights)[:, :height, :width]
