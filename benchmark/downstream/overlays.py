"""Masks and boxes drawn over frames."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence

import numpy as np

VESSEL = (230, 70, 70)
"""Colour of a mask, RGB."""


def overlay(
    frame: np.ndarray, mask: np.ndarray, colour: Sequence[int] | np.ndarray = VESSEL
) -> np.ndarray:
    """Tint the pixels of a mask.

    Args:
        frame: uint8, grayscale H×W or RGB H×W×3.
        mask: bool H×W.

    Returns:
        uint8 H×W×3.
    """
    image = np.repeat(frame[..., None], 3, axis=2) if frame.ndim == 2 else frame
    image = image.astype(np.float32)
    image[mask] = 0.45 * image[mask] + 0.55 * np.asarray(colour, np.float32)
    return image.astype(np.uint8)


def box_outlines(boxes: Iterable[Sequence[float]], shape: Sequence[int]) -> np.ndarray:
    """Outlines of boxes (x, y, width, height in pixels), of visible thickness; bool H×W."""
    drawn = np.zeros(shape, dtype=bool)
    thick = max(1, shape[0] // 96)
    for box in boxes:
        x, y, width, height = (max(0, round(value)) for value in box)
        outline = np.zeros(shape, dtype=bool)
        outline[y : y + height, x : x + width] = True
        outline[y + thick : y + height - thick, x + thick : x + width - thick] = False
        drawn |= outline
    return drawn


def class_colour(label: int) -> tuple[int, int, int]:
    """The colour of a class by its label from 0; hues of neighbouring labels are far apart."""
    if label == 0:
        return VESSEL
    hue = (label * 0.618034) % 1  # the golden ratio
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.7, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
