"""Hashes of an image: an exact one of its pixels and a perceptual one that survives re-encoding."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

_SIDE = 32
_FREQUENCY, _POSITION = np.mgrid[1:9, :_SIDE]
_DCT = np.cos(np.pi * _FREQUENCY * (2 * _POSITION + 1) / (2 * _SIDE))
"""Rows are the basis functions 1 to 8 of the unnormalised DCT-II."""


def pixel_sha256(pixels: np.ndarray) -> str:
    """SHA-256 (hex) of type, height, width and pixels of an array H×W."""
    height, width = pixels.shape
    digest = hashlib.sha256(f"{pixels.dtype.name} {height}x{width}\n".encode())
    digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()


def perceptual_hash(pixels: np.ndarray) -> str:
    """64-bit DCT hash of a grayscale image (Zauner, 2010), 16 hex digits.

    The image is resized to 32×32; the bits tell which of the 8×8 lowest frequencies, constant row
    and column excluded, exceed their median. Brightness, contrast, scale and JPEG change few bits
    (typically under 6); unrelated images differ in about 32.

    Args:
        pixels: uint8, H×W.
    """
    # Floating point: images of low contrast would lose their frequencies to rounding.
    image = Image.fromarray(pixels.astype(np.float32))
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), dtype=np.float64)
    low = _DCT @ small @ _DCT.T
    return np.packbits(low > np.median(low)).tobytes().hex()


def hamming_distance(first: str, second: str) -> int:
    """Number of differing bits of two perceptual hashes, 0–64."""
    return (int(first, 16) ^ int(second, 16)).bit_count()
