"""Size and orientation of an image from its header, without decoding it.

Readers import it lazily: listing the sources must not load Pillow.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, TiffImagePlugin

from benchmark.data.formats.images import MAX_IMAGE_BYTES, MAX_PIXELS, file_errors
from benchmark.data.formats.orientation import orientation_of, oriented_size
from benchmark.data.frame import UnreadableFrame

# Chunks of a PNG that may hold an orientation; Pillow decodes the image to look for them.
_PNG_CHUNKS = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")


@dataclass(frozen=True, slots=True)
class Header:
    """Size and orientation of an image file.

    Attributes:
        stored: height and width as stored.
        orientation: EXIF orientation, 1–8 (`formats.orientation`).
    """

    stored: tuple[int, int]
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright image, as `read_image` returns it."""
        return oriented_size(*self.stored, self.orientation)

    def annotated_size(self, claimed: object) -> tuple[int, int]:
        """Height and width of the image an annotation was drawn on.

        The stored size if the annotation `claimed` it, otherwise the displayed (upright) one.
        """
        return self.stored if claimed == self.stored else self.size


def read_header(path: Path) -> Header | None:
    """Size and orientation, or None if decoding will fail (`read_image` says why)."""
    bomb = Image.DecompressionBombError
    damage = (SyntaxError, ValueError, EOFError, LookupError, struct.error, bomb)
    try:
        with file_errors(path, "damaged image", damage), Image.open(path) as image:
            stored = image.height, image.width
            if isinstance(image, TiffImagePlugin.TiffImageFile):
                # Whether image.size is the upright or the stored size depends on Pillow's version.
                stored = image.tag_v2[257], image.tag_v2[256]
            large = path.stat().st_size > MAX_IMAGE_BYTES
            if large or not 0 < stored[0] * stored[1] <= MAX_PIXELS:
                return None
            if image.format == "PNG":
                content = path.read_bytes()
                if not any(chunk in content for chunk in _PNG_CHUNKS):
                    return Header(stored, 1)
            return Header(stored, orientation_of(image))
    except UnreadableFrame:
        return None


def image_size(path: Path) -> tuple[int, int] | None:
    """Upright height and width, or None; see `read_header`."""
    header = read_header(path)
    return header.size if header else None
