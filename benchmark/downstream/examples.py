"""Pictures of some predictions, small enough to be kept beside every record.

They are made from what the metrics have written (`predictions/` in the run folder), so that keeping
them costs the test nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from benchmark.files import atomic_write

SIDE = 256
"""Longest side of a kept picture, in pixels."""

T = TypeVar("T")


def evenly_spread(items: Sequence[T], count: int) -> list[T]:
    """`count` evenly spaced items, the first and the last among them; all if there are fewer.

    It depends on the list alone: every method and seed keeps the same images.
    """
    if count >= len(items):
        return list(items)
    return [items[int(place)] for place in np.linspace(0, len(items) - 1, count).round()]


def read_example_image(path: Path) -> np.ndarray:
    """An 8-bit or 1-bit picture this project wrote, as uint8 H×W; a 1-bit one holds 0 and 1."""
    with Image.open(path) as picture:
        return np.array(picture).astype(np.uint8)


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Write uint8 (or bool, at 1 bit) H×W as a PNG, atomically."""
    with atomic_write(path) as stream:
        Image.fromarray(picture).save(stream, format="PNG")


def shown_size(height: int, width: int) -> tuple[int, int]:
    """Height and width a picture is shown at: its own, or shrunk to a longest side of `SIDE`."""
    factor = min(1.0, SIDE / max(height, width))
    return max(1, round(factor * height)), max(1, round(factor * width))


def resized(picture: np.ndarray, size: tuple[int, int], labels: bool = False) -> np.ndarray:
    """A uint8 picture at another height and width: smoothed, or (labels) by nearest neighbour."""
    height, width = size
    how = Image.Resampling.NEAREST if labels else Image.Resampling.BILINEAR
    return np.array(Image.fromarray(picture).resize((width, height), how))


def middle(picture: np.ndarray) -> np.ndarray:
    """The middle of a picture, at most `SIDE` high and wide, at its own resolution."""
    top, left = (max(0, (length - SIDE) // 2) for length in picture.shape)
    return picture[top : top + SIDE, left : left + SIDE]
