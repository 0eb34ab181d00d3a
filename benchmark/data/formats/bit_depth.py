"""How many bits the values of a picture or a video have, and what is white among them.

A 16-bit container rarely says how many of its bits are used; detectors deliver 10, 12 or 14. Where
no file says it, the largest value decides: of a whole video or file set, never of one frame.
"""

from __future__ import annotations

import re

import numpy as np
from PIL import Image, PngImagePlugin, PpmImagePlugin, TiffImagePlugin

from benchmark.data.frame import UnreadableFrame

DEPTHS = (8, 10, 12, 14, 16)
"""Bits that the values in a 16-bit container may have, where nothing says how many."""

WHITE_DECIDED = "white decided by the largest value"
"""Note on a video or a file set: white is that of the first depth that holds its values."""

NARROW = "uses less than a quarter of its range"
"""Note on a picture or a video of more than 8 bits."""

_GAP = rb"(?:\s+|#[^\n]*\n)+"
_NETPBM_WHITE = re.compile(_GAP.join((rb"P[2356]", rb"\d+", rb"\d+", rb"(\d+)")))


def white_level(low: int, high: int, depths: tuple[int, ...] = DEPTHS) -> int:
    """White of values from `low` to `high`: that of the first of `depths` that holds them.

    Raises:
        UnreadableFrame: 16 bits do not hold them.
    """
    if low < 0 or high > 65535:
        raise UnreadableFrame("values outside 16 bits")
    return next((1 << depth) - 1 for depth in (*depths, 16) if high < 1 << depth)


def scale_to_8_bits(values: np.ndarray, white: int) -> np.ndarray:
    """Whole numbers, 0…`white`, to 0–255 with rounding; uint8."""
    return ((values.astype(np.int64) * 255 + white // 2) // white).astype(np.uint8)


def is_narrow(grey: np.ndarray) -> bool:
    """Whether uint8 values use less than a quarter of 0–255."""
    return bool(int(grey.max(initial=0)) - int(grey.min(initial=255)) < 64)


def depth_note(white: int) -> str:
    """``"4095 (12 bits)"``."""
    return f"{white} ({white.bit_length()} bits)"


def stated_depths(image: Image.Image, content: bytes) -> tuple[int, ...]:
    """Bits of the values that a picture may have by what its file says, the smallest first.

    One number where the file says it; `DEPTHS` where it says nothing but that it has room for 16.

    Args:
        image: the picture, opened by Pillow.
        content: of its file.
    """
    if isinstance(image, PngImagePlugin.PngImageFile):
        if content[24] != 16:
            return (8,)
        bits = _significant_bits(content)
        # By the standard, such values are scaled to 16 bits; some writers store them unscaled.
        return DEPTHS if bits is None else (bits, 16) if bits < 16 else (16,)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits = max(image.tag_v2.get(258, (1,)))
        return (8,) if bits <= 8 else (bits,) if bits < 16 else DEPTHS
    if isinstance(image, PpmImagePlugin.PpmImageFile) and image.mode.startswith("I"):
        # Pillow scales to 16 bits what has another largest value.
        found = _NETPBM_WHITE.match(content)
        return DEPTHS if found and int(found[1]) == 65535 else (16,)
    return DEPTHS if image.mode.startswith("I") else (8,)


def _significant_bits(content: bytes) -> int | None:
    """The largest number in the sBIT chunk of a PNG, alpha not counted; None without one."""
    at = 8
    while (kind := content[at + 4 : at + 8]) not in {b"IDAT", b""}:
        length = int.from_bytes(content[at : at + 4], "big")
        if kind == b"sBIT":
            bits = content[at + 8 : at + 8 + length]
            has_alpha = content[25] in {4, 6}
            bits = [value for value in bits[: len(bits) - has_alpha] if 0 < value <= 16]
            return max(bits, default=None)
        at += 12 + length
    return None
