"""Slopes of a reference, to compare gradients with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pytest
from torch import nn


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


def assert_slopes(
    loss: Callable[[], float],
    places: Iterable[tuple[nn.Module, Mapping[str, np.ndarray], str, tuple[int, ...]]],
    rel: float = 2e-3,
    abs: float = 2e-7,
    step: float = 1e-5,
) -> None:
    """Gradients of parameters at some places equal the slopes of a reference.

    Args:
        loss: the reference.
        places: module, the arrays in which `loss` reads its weights, name, and place.
    """
    for module, arrays, name, place in places:
        expected = slope(loss, arrays[name], place, step)
        found = module.get_parameter(name).grad[place].item()
        assert found == pytest.approx(expected, rel=rel, abs=abs), name
