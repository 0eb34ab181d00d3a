"""Frames and masks as small files, named by their content.

Equal pixels give equal bytes: the encoders have fixed settings, and Pillow's version is locked.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from typing import NamedTuple

import numpy as np

#: JPEG quality: angiograms of 256² take some 9 kB, and the mean error is about one grey level.
QUALITY = 90
#: Number of hexadecimal digits of the SHA-256 of a file that make up its name.
DIGITS = 20
SUFFIXES = (".jpg", ".png")


class Picture(NamedTuple):
    """A file and its name, which is the hash of its content."""

    name: str
    content: bytes


def frame_picture(pixels: np.ndarray) -> Picture:
    """A grey frame, uint8 H×W, as a JPEG of quality `QUALITY`."""
    return _encoded(pixels, ".jpg", "JPEG", quality=QUALITY, optimize=True)


def mask_picture(labels: np.ndarray) -> Picture:
    """A label map H×W as a PNG of one bit: opaque white for any class, transparent elsewhere."""
    # Runs are nearly all that a mask has to compress: ten times as fast, and no larger.
    return _encoded(labels > 0, ".png", "PNG", transparency=0, compress_type=zlib.Z_RLE)


def name_of(content: bytes, suffix: str) -> str:
    """The name of a file with this content."""
    return hashlib.sha256(content).hexdigest()[:DIGITS] + suffix


def _encoded(pixels: np.ndarray, suffix: str, kind: str, **settings: int | bool) -> Picture:
    # Imported here, because only a board with pictures needs it.
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **settings)
    content = stream.getvalue()
    return Picture(name_of(content, suffix), content)
