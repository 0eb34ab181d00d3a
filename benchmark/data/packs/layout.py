"""Names and columns of the files of a pack, and how one frame is brought to its square."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from benchmark.data.frame import Frame, Source
from benchmark.data.image_hashes import perceptual_hash, pixel_sha256
from benchmark.data.selection import read_usable

SCHEMA = "angiogram-pack/1"
FRAMES = "frames.u8"
ANATOMY = "anatomy.u1"
INDEX = "index.parquet"
MANIFEST = "manifest.json"
REPORT = "report.json"

TEXT_COLUMNS = ("source", "path", "group", "video", "split", "sha256", "phash")
NUMBER_COLUMNS = ("frame", "height", "width", "valid_height", "valid_width")


def fit_square(pixels: np.ndarray, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Bring a picture to size×size with its aspect kept.

    The longest side becomes `size` (PIL bicubic, antialiased; untouched where it already is), the
    picture lies in the top left corner, the rest is 0.

    Args:
        pixels: uint8, H×W.
        size: side of the square in pixels.

    Returns:
        uint8 size×size, and the (height, width) that is covered by the picture.
    """
    height, width = pixels.shape
    if height == width == size:
        return np.ascontiguousarray(pixels), (size, size)
    longest = max(height, width)
    valid = tuple(max(1, (2 * side * size + longest) // (2 * longest)) for side in (height, width))
    if longest != size:
        resized = Image.fromarray(pixels).resize(valid[::-1], Image.Resampling.BICUBIC)
        pixels = np.asarray(resized)
    square = np.zeros((size, size), dtype=np.uint8)
    square[: valid[0], : valid[1]] = pixels
    return square, valid


def pack_frame(source: Source, frame: Frame, size: int) -> tuple[dict[str, Any], np.ndarray]:
    """Index row and square (uint8, size×size) of one frame. Raises `UnreadableFrame`."""
    pixels = read_usable(source, frame)
    square, valid = fit_square(pixels, size)
    row = {
        "source": frame.source,
        "path": frame.path,
        "group": frame.group,
        "video": frame.video,
        "split": frame.split,
        "sha256": pixel_sha256(pixels),
        "phash": perceptual_hash(pixels),
        "frame": frame.frame,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "valid_height": valid[0],
        "valid_width": valid[1],
    }
    return row, square
