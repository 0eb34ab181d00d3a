"""Decoding one image file to grey, or saying in a few words why it cannot be used."""

from __future__ import annotations

import errno
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from benchmark.data.frame import UnreadableFrame

MAX_PIXELS = 1 << 26
"""Larger pictures are refused before they are decoded; an angiogram has about 2**20 pixels."""

MAX_BYTES = 1 << 28
"""Larger image files are refused unread: 64 M pixels of 16 bits and their headers fit in."""


def read_grey(path: Path) -> np.ndarray:
    """Decode one image file to grey.

    Colour becomes luma (ITU-R 601; equal channels are taken as they are), a palette is looked up,
    transparency is dropped. Values of 16-bit files are taken as 8-, 12- or 16-bit data, whichever
    is the smallest range that holds the largest value (detectors deliver 12 bits), and scaled to
    0–255 with rounding.

    Returns:
        uint8 array, H×W.

    Raises:
        UnreadableFrame: as `load_picture`, or the file holds floating-point values.
        OSError: the disk or the system failed; this is not a property of the file.
    """
    return _to_grey(load_picture(path))


def load_picture(path: Path) -> Image.Image:
    """Decode one image file, whatever its pixels are.

    Raises:
        UnreadableFrame: the file is missing, empty, damaged, far too large, not an image, or holds
            several pictures. Never a partly decoded picture.
        OSError: the disk or the system failed; this is not a property of the file.
    """
    # What Pillow's decoders raise on damaged content, besides OSError without a number.
    damage = (SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
    with file_errors("damaged image", damage):
        size = path.stat().st_size
        if size == 0:
            raise UnreadableFrame("empty file")
        if size > MAX_BYTES:
            raise UnreadableFrame("image too large")
        # Read as a whole: asked for the bytes that a damaged chunk claims, a file object sets aside
        # the memory for them before it looks how many there are.
        content = io.BytesIO(path.read_bytes())
        try:
            with Image.open(content) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadableFrame("image too large")
                if getattr(image, "n_frames", 1) > 1:
                    raise UnreadableFrame("several pictures in one file")
                image.load()
                return image
        except UnidentifiedImageError:
            raise UnreadableFrame("not an image") from None
        except Image.DecompressionBombError:
            raise UnreadableFrame("image too large") from None


@contextmanager
def file_errors(damaged: str, damage: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn what is wrong with one file into `UnreadableFrame`.

    Args:
        damaged: the reason given for damaged content.
        damage: what the decoder raises on it, besides OSError without a number.

    Raises:
        UnreadableFrame: the file is missing, may not be read, or is damaged.
        OSError: the disk or the system failed; this is not a property of the file.
    """
    try:
        yield
    except FileNotFoundError:
        raise UnreadableFrame("file missing") from None
    except PermissionError:
        raise UnreadableFrame("no permission to read") from None
    except damage:
        raise UnreadableFrame(damaged) from None
    except OSError as error:
        # A damaged offset may lie before the beginning of the file, where nothing can be sought.
        if error.errno not in {None, errno.EINVAL}:
            raise
        raise UnreadableFrame(damaged) from None


def _to_grey(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):
        return scale_deep(np.asarray(image))
    if image.mode in {"P", "PA"}:
        image = image.convert("RGB")
    if image.mode in {"L", "LA", "1"}:
        grey = image.getchannel(0).convert("L") if image.mode == "LA" else image.convert("L")
        return np.array(grey, dtype=np.uint8)
    if image.mode not in {"RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}:
        raise UnreadableFrame(f"unsupported pixel type {image.mode}")
    return colour_to_grey(np.asarray(image.convert("RGB")))


def colour_to_grey(colour: np.ndarray) -> np.ndarray:
    """Luma (ITU-R 601) of uint8 H×W×3; equal channels are taken as they are. uint8, H×W."""
    if (colour[..., :1] == colour).all():
        return np.ascontiguousarray(colour[..., 0])
    return np.array(Image.fromarray(colour).convert("L"), dtype=np.uint8)


def deep_top(low: int, high: int) -> int:
    """White of values from `low` to `high`: that of 8, 12 or 16 bits, the first that holds them.

    Raises:
        UnreadableFrame: 16 bits do not hold them.
    """
    if low < 0 or high > 65535:
        raise UnreadableFrame("values outside 16 bits")
    return next(top for top in (255, 4095, 65535) if high <= top)


def scale_deep(values: np.ndarray, top: int | None = None) -> np.ndarray:
    """Whole numbers, 0…`top` (by default `deep_top` of them), to 0–255 with rounding; uint8."""
    values = values.astype(np.int64)
    if top is None:
        top = deep_top(values.min(initial=0), values.max(initial=0))
    return ((values * 255 + top // 2) // top).astype(np.uint8)
