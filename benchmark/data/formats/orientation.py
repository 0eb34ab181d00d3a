"""EXIF orientation: how the pixels of a file, and what is marked on them, come to stand upright.

An orientation is a number from 1 (upright as stored) to 8, as EXIF and TIFF count them.
"""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

TAG = 274
"""Number of the tag, in EXIF and in TIFF."""

_SWAPPED = {5, 6, 7, 8}
_MIRRORED = {2, 3, 6, 7}
_UPSIDE_DOWN = {3, 4, 7, 8}


def orientation_of(image: Image.Image) -> int:
    """Orientation that an opened picture still has to be turned by; 1 where it does not say.

    Pillow turns TIFF files itself when it loads them, and they are 1 afterwards.
    """
    try:
        orientation = image.getexif().get(TAG, 1)
    except (SyntaxError, ValueError, LookupError, TypeError, EOFError, struct.error):
        return 1  # A damaged EXIF block says nothing about pixels that are whole.
    return orientation if orientation in range(1, 9) else 1


def turned_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Upright height and width of a picture stored as height×width."""
    return (width, height) if orientation in _SWAPPED else (height, width)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels, H×W or H×W×C, upright; a view."""
    if orientation in _SWAPPED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in _MIRRORED:
        pixels = pixels[:, ::-1]
    if orientation in _UPSIDE_DOWN:
        pixels = pixels[::-1]
    return pixels


def turned_points(points: np.ndarray, orientation: int, height: int, width: int) -> np.ndarray:
    """Points on the stored picture, N×2 of x and y, on the upright one; float64.

    Args:
        points: continuous coordinates in pixels; the outer corners of the stored picture are
            (0, 0) and (width, height).
        orientation: of the file.
        height: of the picture as stored.
        width: of the picture as stored.
    """
    x, y = np.asarray(points, dtype=np.float64).reshape(-1, 2).T
    height, width = turned_size(height, width, orientation)
    if orientation in _SWAPPED:
        x, y = y, x
    if orientation in _MIRRORED:
        x = width - x
    if orientation in _UPSIDE_DOWN:
        y = height - y
    return np.stack([x, y], axis=1)


def turned_boxes(boxes: np.ndarray, orientation: int, height: int, width: int) -> np.ndarray:
    """Boxes on the stored picture, N×(4 + anything): x0, y0, x1, y1, …; as `turned_points`."""
    boxes = np.array(boxes, dtype=np.float64, ndmin=2)
    corners = turned_points(boxes[:, :4].reshape(-1, 2), orientation, height, width)
    corners = corners.reshape(-1, 2, 2)
    boxes[:, :2], boxes[:, 2:4] = corners.min(axis=1), corners.max(axis=1)
    return boxes
