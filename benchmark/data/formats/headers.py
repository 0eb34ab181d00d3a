"""The size of an image from its header, without decoding it.

Imported where it is used, not at the top of a reader: listing the sources must not load Pillow.
"""

from __future__ import annotations

import struct
from pathlib import Path

from PIL import Image

from benchmark.data.formats.pictures import MAX_PIXELS, file_errors
from benchmark.data.frame import UnreadableFrame


def image_size(path: Path) -> tuple[int, int] | None:
    """Height and width, or None where decoding will fail (`read_grey` says why).

    Raises:
        OSError: the disk or the system failed; this is not a property of the file.
    """
    bomb = Image.DecompressionBombError
    damage = (SyntaxError, ValueError, EOFError, IndexError, struct.error, bomb)
    try:
        with file_errors("damaged image", damage), Image.open(path) as image:
            height, width = image.height, image.width
    except UnreadableFrame:
        return None
    return (height, width) if 0 < height * width <= MAX_PIXELS else None
