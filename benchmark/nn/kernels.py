"""Loops over maps for a CPU, compiled when they are first called; see `rescaling`.

Maps are contiguous arrays of B×H×W×C, channels innermost, of float32 or float64. The kernels write
their result into the last argument. `run` shares the samples out over torch's threads. A value that
is no number stays one: comparisons are written such that it wins.

What keeps the compiler at vector instructions: an innermost loop writes to one place of an array,
reads before it decides, and steps through slices instead of adding offsets to an index.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

# Sums may be reordered for the sake of vector instructions; infinities and NaN keep their meaning.
_OPTIONS = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
}


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no folder to keep compiled code in: every process compiles its own
        return njit(**_OPTIONS)(function)


@lru_cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count())


# Threads do not survive a fork.
os.register_at_fork(after_in_child=_pool.cache_clear)


def run(kernel: Callable[..., None], maps: Sequence[Tensor], shared: Sequence[Tensor] = ()) -> None:
    """Call ``kernel(*shared, *maps)`` on all samples, in as many parts as torch has threads.

    Compiled loops do not look whether an index is inside its array: shapes have to fit.

    Args:
        kernel: one of this module.
        maps: tensors of the same number of samples on a CPU; the kernel writes into the last one.
        shared: tensors that every part is given whole.
    """
    arrays = [tensor.detach().numpy() for tensor in maps]
    whole = [tensor.detach().numpy() for tensor in shared]
    parts = min(torch.get_num_threads(), len(arrays[0]))
    if parts <= 1:
        kernel(*whole, *arrays)
        return
    edges = np.linspace(0, len(arrays[0]), parts + 1).astype(int)
    pending = [
        _pool().submit(kernel, *whole, *(array[start:stop] for array in arrays))
        for start, stop in pairwise(edges)
    ]
    for part in pending:
        part.result()


@_compiled
def halve(maps: Any, result: Any) -> None:
    """The largest of each 2×2 pixels, or 0 if that is larger; `result` is B×H/2×W/2×C."""
    samples, height, width, channels = result.shape
    for b in range(samples):
        for y in range(height):
            above, below = maps[b, 2 * y], maps[b, 2 * y + 1]
            for x in range(width):
                for c in range(channels):
                    largest = maps.dtype.type(0)
                    value = above[2 * x, c]
                    largest = value if (value > largest) | (value != value) else largest
                    value = above[2 * x + 1, c]
                    largest = value if (value > largest) | (value != value) else largest
                    value = below[2 * x, c]
                    largest = value if (value > largest) | (value != value) else largest
                    value = below[2 * x + 1, c]
                    largest = value if (value > largest) | (value != value) else largest
                    result[b, y, x, c] = largest


@_compiled
def halve_backward(maps: Any, halves: Any, gradient: Any, result: Any) -> None:
    """The gradient of `halves` goes to the first of the 2×2 pixels that has its value."""
    samples, height, width, channels = halves.shape
    zero = maps.dtype.type(0)
    left = np.empty((width, channels), maps.dtype)  # that has not found its pixel yet
    for b in range(samples):
        for y in range(height):
            largest, of_largest = halves[b, y], gradient[b, y]
            for x in range(width):
                for c in range(channels):
                    value = of_largest[x, c]
                    left[x, c] = zero if largest[x, c] <= zero else value
            for lower in range(2):
                row, of_row = maps[b, 2 * y + lower], result[b, 2 * y + lower]
                for x in range(width):
                    for place in range(2 * x, 2 * x + 2):
                        for c in range(channels):
                            value = left[x, c]
                            here = row[place, c] == largest[x, c]
                            of_row[place, c] = value if here else zero
                            left[x, c] = zero if here else value


# Doubling by bilinear interpolation without aligned corners: every row becomes two, at -1/4 and
# +1/4 of a row, and every pixel of those becomes two likewise. What lies beyond an edge equals the
# pixel at the edge. Rows are flat, W·C values, such that most loops are as long as vector
# instructions like them; with a margin of one pixel on both sides they have (W + 2)·C.


@_compiled
def _neighbour(y: int, lower: int, height: int) -> int:
    """The row that takes part beside row `y` in the upper or `lower` one of the two it becomes."""
    return min(y + 1, height - 1) if lower else max(y - 1, 0)


@_compiled
def _blend_rows(near: Any, far: Any, channels: int, row: Any) -> None:
    """One of the two rows, before its pixels are doubled; `row` has a margin."""
    most, rest = row.dtype.type(0.75), row.dtype.type(0.25)
    size = near.size
    centre = row[channels : channels + size]
    for i in range(size):
        centre[i] = most * near[i] + rest * far[i]
    for c in range(channels):
        row[c] = centre[c]
        row[channels + size + c] = centre[size - channels + c]


@_compiled
def _blend(maps: Any, y: int, lower: int, row: Any, left: Any, right: Any) -> None:
    """One of the two rows that row `y` becomes, all its pixels doubled and rectified.

    Args:
        maps: H×W×C.
        y: row of the maps.
        lower: whether the lower one of the two.
        row: (W + 2)·C to write into.
        left, right: W·C, of each two pixels the one, to write into.
    """
    zero, most, rest = row.dtype.type(0), row.dtype.type(0.75), row.dtype.type(0.25)
    height, width, channels = maps.shape
    size = width * channels
    other = _neighbour(y, lower, height)
    _blend_rows(maps[y].reshape(size), maps[other].reshape(size), channels, row)
    before, centre, after = row[:size], row[channels : channels + size], row[2 * channels :]
    for i in range(size):
        value = most * centre[i] + rest * before[i]
        left[i] = zero if value <= zero else value
    for i in range(size):
        value = most * centre[i] + rest * after[i]
        right[i] = zero if value <= zero else value


@_compiled
def _blend_backward(maps: Any, y: int, lower: int, of_pixels: Any, row: Any, result: Any) -> None:
    """Add the gradient of `_blend` in the maps to `result`.

    Args:
        maps: H×W×C.
        y: row of the maps.
        lower: whether the lower one of the two.
        of_pixels: 2×(W + 2)×C, gradients of the left and of the right ones of the pixels, with a
            margin, to write into; overwritten.
        row: (W + 2)·C to write into.
        result: H×W×C to add to.
    """
    zero, most, rest = row.dtype.type(0), row.dtype.type(0.75), row.dtype.type(0.25)
    height, width, channels = maps.shape
    size = width * channels
    other = _neighbour(y, lower, height)
    _blend_rows(maps[y].reshape(size), maps[other].reshape(size), channels, row)
    before, centre, after = row[:size], row[channels : channels + size], row[2 * channels :]
    of_left, of_right = of_pixels[0].reshape(row.size), of_pixels[1].reshape(row.size)
    left, next_left = of_left[channels : channels + size], of_left[2 * channels :]
    right, last_right = of_right[channels : channels + size], of_right[:size]
    for i in range(size):
        left[i] = zero if most * centre[i] + rest * before[i] <= zero else left[i]
    for i in range(size):
        right[i] = zero if most * centre[i] + rest * after[i] <= zero else right[i]
    for c in range(channels):
        of_right[c] = left[c]
        of_left[channels + size + c] = right[size - channels + c]
    of_near, of_far = result[y].reshape(size), result[other].reshape(size)
    for i in range(size):
        of_row = most * (left[i] + right[i]) + rest * (next_left[i] + last_right[i])
        of_near[i] += most * of_row
        of_far[i] += rest * of_row


@_compiled
def double(maps: Any, skip: Any, result: Any) -> None:
    """Bilinear doubling, rectified, plus `skip`; `skip` and `result` are B×2H×2W×C."""
    samples, height, width, channels = maps.shape
    row = np.empty((width + 2) * channels, maps.dtype)
    left = np.empty(width * channels, maps.dtype)
    right = np.empty(width * channels, maps.dtype)
    lefts, rights = left.reshape(width, channels), right.reshape(width, channels)
    for b in range(samples):
        for y in range(height):
            for lower in range(2):
                _blend(maps[b], y, lower, row, left, right)
                beside, into = skip[b, 2 * y + lower], result[b, 2 * y + lower]
                for x in range(width):
                    for c in range(channels):
                        into[2 * x, c] = beside[2 * x, c] + lefts[x, c]
                    for c in range(channels):
                        into[2 * x + 1, c] = beside[2 * x + 1, c] + rights[x, c]


@_compiled
def double_backward(maps: Any, gradient: Any, result: Any) -> None:
    """Add to `result` the gradient of `double` in its maps; `gradient` is B×2H×2W×C."""
    samples, height, width, channels = maps.shape
    row = np.empty((width + 2) * channels, maps.dtype)
    of_pixels = np.empty((2, width + 2, channels), maps.dtype)
    of_left, of_right = of_pixels[0], of_pixels[1]
    for b in range(samples):
        for y in range(height):
            for lower in range(2):
                of_large = gradient[b, 2 * y + lower]
                for x in range(width):
                    for c in range(channels):
                        of_left[x + 1, c] = of_large[2 * x, c]
                    for c in range(channels):
                        of_right[x + 1, c] = of_large[2 * x + 1, c]
                _blend_backward(maps[b], y, lower, of_pixels, row, result[b])


@_compiled
def logits(weight: Any, bias: Any, maps: Any, result: Any) -> None:
    """Bilinear doubling, rectified, and a weighted sum over channels; `result` is B×2H×2W."""
    samples, height, width, channels = maps.shape
    row = np.empty((width + 2) * channels, maps.dtype)
    left = np.empty(width * channels, maps.dtype)
    right = np.empty(width * channels, maps.dtype)
    lefts, rights = left.reshape(width, channels), right.reshape(width, channels)
    for b in range(samples):
        for y in range(height):
            for lower in range(2):
                _blend(maps[b], y, lower, row, left, right)
                into = result[b, 2 * y + lower]
                for x in range(width):
                    of_left = of_right = bias[0]
                    for c in range(channels):
                        of_left += weight[c] * lefts[x, c]
                        of_right += weight[c] * rights[x, c]
                    into[2 * x] = of_left
                    into[2 * x + 1] = of_right


@_compiled
def logits_backward(weight: Any, maps: Any, gradient: Any, result: Any) -> None:
    """Add to `result` the gradient of `logits` in its maps; `gradient` is B×2H×2W."""
    samples, height, width, channels = maps.shape
    row = np.empty((width + 2) * channels, maps.dtype)
    of_pixels = np.empty((2, width + 2, channels), maps.dtype)
    of_left, of_right = of_pixels[0], of_pixels[1]
    for b in range(samples):
        for y in range(height):
            for lower in range(2):
                of_large = gradient[b, 2 * y + lower]
                for x in range(width):
                    for c in range(channels):
                        of_left[x + 1, c] = of_large[2 * x] * weight[c]
                        of_right[x + 1, c] = of_large[2 * x + 1] * weight[c]
                _blend_backward(maps[b], y, lower, of_pixels, row, result[b])
