"""EXIF orientation, 1 (upright as stored) to 8, applied to pixels and boxes."""

from __future__ import annotations

import struct

import numpy as np
from PIL import Image

ORIENTATION_TAG = 274
"""Tag number, in EXIF and in TIFF."""

_TRANSPOSED = {5, 6, 7, 8}
_MIRRORED = {2, 3, 6, 7}
_UPSIDE_DOWN = {3, 4, 7, 8}


def orientation_of(image: Image.Image) -> int:
    """Orientation still to be applied to an opened image; 1 if none is stated.

    Pillow applies that of a TIFF itself on loading, after which it is 1.
    """
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except (SyntaxError, ValueError, LookupError, TypeError, EOFError, struct.error):
        return 1  # a damaged EXIF block does not make the pixels unusable
    return orientation if orientation in range(1, 9) else 1


def oriented_size(height: int, width: int, orientation: int) -> tuple[int, int]:
    """Upright height and width of an image stored as height×width."""
    return (width, height) if orientation in _TRANSPOSED else (height, width)


def apply_orientation(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels, H×W or H×W×C, upright; a view."""
    if orientation in _TRANSPOSED:
        pixels = pixels.swapaxes(0, 1)
    if orientation in _MIRRORED:
        pixels = pixels[:, ::-1]
    if orientation in _UPSIDE_DOWN:
        pixels = pixels[::-1]
    return pixels


def orient_masks(masks: np.ndarray, orientation: int) -> np.ndarray:
    """Stored masks, C×H×W, upright; a view."""
    return apply_orientation(masks.transpose(1, 2, 0), orientation).transpose(2, 0, 1)


def orient_boxes(boxes: np.ndarray, orientation: int, height: int, width: int) -> np.ndarray:
    """Map boxes from the stored image of height×width to the upright one; float64.

    N×(4 + K): x0, y0, x1, y1 in continuous coordinates, in which the image spans (0, 0) to (width,
    height), and K further columns that are kept.
    """
    boxes = np.array(boxes, dtype=np.float64, ndmin=2)
    x, y = boxes[:, 0:4:2], boxes[:, 1:4:2]
    height, width = oriented_size(height, width, orientation)
    if orientation in _TRANSPOSED:
        x, y = y, x
    if orientation in _MIRRORED:
        x = width - x
    if orientation in _UPSIDE_DOWN:
        y = height - y
    boxes[:, :4] = np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], axis=1)
    return boxes
