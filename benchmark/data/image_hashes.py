"""Fingerprints of a picture: an exact one of its pixels and one that survives re-encoding."""

from __future__ import annotations

import functools
import hashlib

import numpy as np
from PIL import Image

_SIDE = 32
_LOW = slice(1, 9)


def _dct_matrix(size: int) -> np.ndarray:
    """Rows are the DCT-II basis functions of length `size` (unnormalised)."""
    k, n = np.mgrid[:size, :size]
    return np.cos(np.pi * k * (2 * n + 1) / (2 * size))


_DCT = _dct_matrix(_SIDE)[_LOW]

_LONGEST_FAST = 2048
_CLEAR = 0.25
"""Distance from the median at which rounding cannot turn a bit.

The frequencies are below 255·32·32·1.25². Pillow rounds to float32 after each of its two passes,
and rounds the weights that `_response` gets from it: together an error below 0.11 in a frequency,
and as much in their median.
"""


@functools.lru_cache(maxsize=16)
def _response(side: int) -> np.ndarray:
    """The lowest frequencies along one axis of each pixel alone, float64, side×8."""
    pixels = Image.fromarray(np.eye(side, dtype=np.float32))
    small = pixels.resize((_SIDE, side), Image.Resampling.BICUBIC)
    return np.asarray(small, dtype=np.float64) @ _DCT.T


def _fits_product(pixels: np.ndarray) -> bool:
    return pixels.dtype == np.uint8 and 0 < max(pixels.shape) <= _LONGEST_FAST


def _low_by_product(pixels: np.ndarray) -> np.ndarray:
    """`_low_by_resizing` up to rounding, three times as fast: all of it is linear."""
    height, width = pixels.shape
    return _response(height).T @ pixels.astype(np.float64) @ _response(width)


def _low_by_resizing(pixels: np.ndarray) -> np.ndarray:
    """The 8×8 lowest frequencies of the picture at 32×32, float64."""
    # Floating point, since low-contrast pictures would lose their frequencies to rounding.
    image = Image.fromarray(pixels.astype(np.float32))
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), dtype=np.float64)
    return _DCT @ small @ _DCT.T


def pixel_sha256(pixels: np.ndarray) -> str:
    """SHA-256 (hex) of type, height, width and pixels of an array H×W."""
    height, width = pixels.shape
    digest = hashlib.sha256(f"{pixels.dtype.name} {height}x{width}\n".encode())
    digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()


def perceptual_hash(pixels: np.ndarray) -> str:
    """64-bit DCT hash of a grey picture (Zauner, 2010), 16 hex digits.

    The picture is reduced to 32×32; the bits tell which of the 8×8 lowest frequencies, constant
    row and column left out, exceed their median. Brightness, contrast, scale and JPEG change few
    bits (typically under 6); unrelated pictures differ in about 32.

    Args:
        pixels: uint8, H×W.
    """
    low = _low_by_product(pixels) if _fits_product(pixels) else None
    if low is None or np.abs(low - np.median(low)).min() < _CLEAR:
        low = _low_by_resizing(pixels)
    bits = (low > np.median(low)).ravel()
    return np.packbits(bits).tobytes().hex()


def hamming_distance(first: str, second: str) -> int:
    """Number of differing bits of two perceptual hashes, 0–64."""
    return (int(first, 16) ^ int(second, 16)).bit_count()
