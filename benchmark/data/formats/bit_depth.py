"""Bit depth and white level of images and videos.

A 16-bit file rarely states how many of its bits are used; detectors deliver 10, 12 or 14. Where it
does not, the maximum value of the complete video or file set decides, never that of one frame.
"""

from __future__ import annotations

import re

import numpy as np
from PIL import Image, PngImagePlugin, PpmImagePlugin, TiffImagePlugin

from benchmark.data.frame import UnreadableFrame

BIT_DEPTHS = (8, 10, 12, 14, 16)
"""Candidate bit depths of a 16-bit file that does not state one."""

WHITE_FROM_MAXIMUM = "white level from the maximum value"
"""Note on a video or file set whose white level is that of the smallest sufficient bit depth."""

NARROW_RANGE = "uses less than a quarter of its range"
"""Note on an image or video of more than 8 bits."""

_GAP = rb"(?:\s+|#[^\n]*\n)+"
_NETPBM_WHITE = re.compile(_GAP.join((rb"P[2356]", rb"\d+", rb"\d+", rb"(\d+)")))


def white_level(low: int, high: int, depths: tuple[int, ...] = BIT_DEPTHS) -> int:
    """White level of the first of `depths` that holds values from `low` to `high`."""
    if low < 0 or high > 65535:
        raise UnreadableFrame("values outside 16 bits")
    return next((1 << depth) - 1 for depth in (*depths, 16) if high < 1 << depth)


def scale_to_8_bits(values: np.ndarray, white: int) -> np.ndarray:
    """Scale integers from 0…`white` to 0…255, rounded; uint8."""
    return ((values.astype(np.int64) * 255 + white // 2) // white).astype(np.uint8)


def has_narrow_range(pixels: np.ndarray) -> bool:
    """Whether uint8 values use less than a quarter of 0–255."""
    return bool(int(pixels.max(initial=0)) - int(pixels.min(initial=255)) < 64)


def white_note(white: int) -> str:
    """White level and bit depth, as in ``"4095 (12 bits)"``."""
    return f"{white} ({white.bit_length()} bits)"


def stated_depths(image: Image.Image, content: bytes) -> tuple[int, ...]:
    """Candidate bit depths of an image, in ascending order.

    A single depth if the file (`content`) states it, `BIT_DEPTHS` for a 16-bit file that does not.
    """
    if isinstance(image, PngImagePlugin.PngImageFile):
        if content[24] != 16:
            return (8,)
        bits = _significant_bits(content)
        # The standard scales such values to 16 bits; some writers do not.
        return BIT_DEPTHS if bits is None else (bits, 16) if bits < 16 else (16,)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = max(image.tag_v2.get(258, (1,)))
        return (8,) if bits <= 8 else (bits,) if bits < 16 else BIT_DEPTHS
    if isinstance(image, PpmImagePlugin.PpmImageFile) and image.mode.startswith("I"):
        # Pillow scales any other stated maximum to 16 bits.
        found = _NETPBM_WHITE.match(content)
        return BIT_DEPTHS if found and int(found[1]) == 65535 else (16,)
    return BIT_DEPTHS if image.mode.startswith("I") else (8,)


def _significant_bits(content: bytes) -> int | None:
    """Largest sBIT entry of a PNG, alpha excluded; None without an sBIT chunk."""
    at = 8
    while (kind := content[at + 4 : at + 8]) not in {b"IDAT", b""}:
        length = int.from_bytes(content[at : at + 4], "big")
        if kind == b"sBIT":
            bits = content[at + 8 : at + 8 + length]
            has_alpha = content[25] in {4, 6}
            return max((n for n in bits[: len(bits) - has_alpha] if 0 < n <= 16), default=None)
        at += 12 + length
    return None
