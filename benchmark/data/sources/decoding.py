"""Decoding one image file to grey, or saying in a few words why it cannot be used."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from benchmark.data.frame import UnreadableFrame

MAX_PIXELS = 1 << 26
"""Larger pictures are refused before they are decoded; an angiogram has about 2**20 pixels."""


def read_grey(path: Path) -> np.ndarray:
    """Decode one image file to grey.

    Colour becomes luma (ITU-R 601; equal channels are taken as they are), a palette is looked up,
    transparency is dropped. Values of 16-bit files are taken as 8-, 12- or 16-bit data, whichever
    is the smallest range that holds the largest value (detectors deliver 12 bits), and scaled to
    0–255 with rounding.

    Returns:
        uint8 array, H×W.

    Raises:
        UnreadableFrame: the file is missing, empty, damaged, far too large, not an image, or holds
            several pictures or floating-point values. Never a partly decoded picture.
        OSError: the disk or the system failed; this is not a property of the file.
    """
    try:
        if path.stat().st_size == 0:
            raise UnreadableFrame("empty file")
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableFrame("image too large")
            if getattr(image, "n_frames", 1) > 1:
                raise UnreadableFrame("several pictures in one file")
            image.load()
            return _to_grey(image)
    except UnidentifiedImageError:
        raise UnreadableFrame("not an image") from None
    except Image.DecompressionBombError:
        raise UnreadableFrame("image too large") from None
    except FileNotFoundError:
        raise UnreadableFrame("file missing") from None
    except PermissionError:
        raise UnreadableFrame("no permission to read") from None
    except (SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error):
        # What Pillow's decoders raise on damaged content, besides OSError without a number.
        raise UnreadableFrame("damaged image") from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise UnreadableFrame("damaged image") from None


def _to_grey(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):
        return _scale_deep(np.asarray(image))
    if image.mode in {"P", "PA"}:
        image = image.convert("RGB")
    if image.mode in {"L", "LA", "1"}:
        grey = image.getchannel(0).convert("L") if image.mode == "LA" else image.convert("L")
        return np.array(grey, dtype=np.uint8)
    if image.mode not in {"RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}:
        raise UnreadableFrame(f"unsupported pixel type {image.mode}")
    colour = np.asarray(image.convert("RGB"))
    if (colour[..., :1] == colour).all():
        return np.ascontiguousarray(colour[..., 0])
    return np.array(image.convert("RGB").convert("L"), dtype=np.uint8)


def _scale_deep(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.int64)
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise UnreadableFrame("values outside 16 bits")
    top = next(top for top in (255, 4095, 65535) if values.max(initial=0) <= top)
    return ((values * 255 + top // 2) // top).astype(np.uint8)
