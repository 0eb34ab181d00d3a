"""Rasterising polygons and run lengths.

Coordinates are continuous, (0, 0) is the top left corner of the image, and a pixel belongs to a
polygon if its centre, (column + 0.5, row + 0.5), lies inside. (Fills that include the outline, such
as OpenCV's, dilate by half a pixel, which is a lot for a vessel four pixels wide.) A centre exactly
on the outline is inside at a left or upper edge and outside at a right or lower one, so that
polygons sharing an edge share no pixel. Self-intersections follow the non-zero winding rule: both
lobes of a figure eight are inside, and an overlap leaves no hole.

Readers import it lazily: listing the sources must not load numpy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def draw_polygon(mask: np.ndarray, points: Sequence[float]) -> None:
    """Rasterise one polygon (x0, y0, x1, y1, …) into `mask`, bool H×W, in place."""
    height, width = mask.shape
    x, y = np.asarray(points, dtype=np.float64).reshape(-1, 2).T
    left = int(np.clip(np.floor(x.min()), 0, width))
    right = int(np.clip(np.ceil(x.max()), 0, width))
    upper = int(np.clip(np.floor(y.min()), 0, height))
    lower = int(np.clip(np.ceil(y.max()), 0, height))
    if left >= right or upper >= lower:
        return
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    # An edge crosses the centre lines of rows first … last - 1.
    first = np.clip(np.ceil(np.minimum(y, next_y) - 0.5), upper, lower).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(y, next_y) - 0.5), upper, lower).astype(np.int64)
    # Increments of the winding number along each row.
    winding = np.zeros((lower - upper, right - left + 1), dtype=np.int32)
    for edge in np.flatnonzero(last > first):
        rows = np.arange(first[edge], last[edge])
        slope = (next_x[edge] - x[edge]) / (next_y[edge] - y[edge])
        crossing = x[edge] + (rows + 0.5 - y[edge]) * slope
        columns = np.clip(np.ceil(crossing - 0.5), left, right).astype(np.int64)
        winding[rows - upper, columns - left] += 1 if next_y[edge] > y[edge] else -1
    mask[upper:lower, left:right] |= np.cumsum(winding[:, :-1], axis=1) != 0


def draw_runs(mask: np.ndarray, runs: Sequence[int]) -> None:
    """Rasterise COCO's run lengths (0 and 1 in turn, column-major) into `mask`, in place."""
    height, width = mask.shape
    values = np.arange(len(runs)) % 2 == 1
    mask |= np.repeat(values, runs).reshape(width, height).T


def resize_nearest(masks: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Resize masks, C×H×W, to (height, width) by nearest neighbour."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(size, masks.shape[1:])
    )
    return masks[:, rows[:, None], columns]
