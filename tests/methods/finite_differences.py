"""Slopes of a reference, to compare gradients with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def slope(
    loss: Callable[[], float], array: np.ndarray, place: tuple[int, ...], step: float = 1e-5
) -> float:
    """Central difference of `loss()` along one entry of an array it reads, in double precision."""
    kept, ends = array[place], []
    for sign in (1, -1):
        array[place] = kept + sign * step
        ends.append(loss())
    array[place] = kept
    return (ends[0] - ends[1]) / (2 * step)
