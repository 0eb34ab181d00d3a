"""Masks of several classes: images whose values are class indices.

Value 0 is background, k the k-th class. A palette image is read by its indices, whatever their
colours. Values beyond the classes (including 255, which some tools ignore), colours without a
palette, and JPEG, which changes values, are refused.

Readers import it lazily: listing the sources must not load numpy.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.data.formats.images import file_errors, read_image
from benchmark.data.formats.orientation import apply_orientation, orientation_of
from benchmark.data.frame import UnreadableFrame

MAX_CLASSES = 31
"""Fine-tuning supports at most this many classes."""


def read_label_map(path: Path, classes: int) -> np.ndarray:
    """One mask for each class, bool, classes×H×W, upright.

    Args:
        path: the file.
        classes: number of classes without the background, at least 2.

    Raises:
        UnreadableFrame: the file is damaged or not a label map of these classes.
    """
    labels = _indices(path)
    if labels.min(initial=0) < 0 or labels.max(initial=0) > classes:
        raise UnreadableFrame("value beyond the classes")
    return labels == np.arange(1, classes + 1)[:, None, None]


def is_label_map(path: Path) -> bool:
    """Whether an image seems to hold class indices: integers of at most `MAX_CLASSES`, above 1."""
    try:
        return 1 < _indices(path).max(initial=0) <= MAX_CLASSES
    except UnreadableFrame:
        return False


def _indices(path: Path) -> np.ndarray:
    """Integers, H×W: the values of a gray image, or the indices of one with a palette."""
    decoded = read_image(path)  # which also refuses what is damaged or too large
    damage = (SyntaxError, ValueError, EOFError, LookupError, struct.error)
    with file_errors(path, "damaged image", damage):
        content = path.read_bytes()
    if content.startswith(b"\xff\xd8\xff"):
        raise UnreadableFrame("JPEG, which does not keep class indices")
    if decoded.depths == (8,) and decoded.values.shape[2] >= 3:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode == "P":
                return apply_orientation(np.array(image), orientation_of(image))
    colours = decoded.colours
    if not np.issubdtype(colours.dtype, np.integer):
        raise UnreadableFrame("values that are not integers")
    if (colours != colours[..., :1]).any():
        raise UnreadableFrame("colours instead of class indices")
    return colours[..., 0].astype(np.int64)
