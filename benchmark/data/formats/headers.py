"""Size and orientation of an image from its header, without decoding it.

Imported where it is used, not at the top of a reader: listing the sources must not load Pillow.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, TiffImagePlugin

from benchmark.data.formats.images import MAX_BYTES, MAX_PIXELS, file_errors
from benchmark.data.formats.orientation import orientation_of, turned_size
from benchmark.data.frame import UnreadableFrame

# What in a PNG may say how it is turned; Pillow decodes the picture to look for it.
_PNG_MARKS = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of an image says.

    Attributes:
        stored: height and width as stored.
        orientation: EXIF orientation, 1–8; `formats.orientation` maps points and boxes by it.
    """

    stored: tuple[int, int]
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture as it is shown, upright, and as `read_picture` has it."""
        return turned_size(*self.stored, self.orientation)

    def drawn_size(self, claimed: object) -> tuple[int, int]:
        """Height and width of the picture that something was drawn on: as stored, or as shown.

        Args:
            claimed: height and width of the mask, or what the annotation says of the picture.
                Where they fit the picture as stored and not as shown, it is the first; otherwise,
                and where both are the same, it is what people see.
        """
        return self.stored if claimed == self.stored else self.size


def read_header(path: Path) -> Header | None:
    """Size and orientation, or None where decoding will fail (`read_picture` says why).

    Raises:
        OSError: the disk or the system failed; this is not a property of the file.
    """
    bomb = Image.DecompressionBombError
    damage = (SyntaxError, ValueError, EOFError, LookupError, struct.error, bomb)
    try:
        with file_errors(path, "damaged image", damage), Image.open(path) as image:
            stored = image.height, image.width
            if isinstance(image, TiffImagePlugin.TiffImageFile):
                # Some versions of Pillow give the upright size here, others the stored one.
                stored = image.tag_v2[257], image.tag_v2[256]
            large = path.stat().st_size > MAX_BYTES
            if large or not 0 < stored[0] * stored[1] <= MAX_PIXELS:
                return None
            silent = image.format == "PNG" and not _mentions(path, _PNG_MARKS)
            return Header(stored, 1 if silent else orientation_of(image))
    except UnreadableFrame:
        return None


def image_size(path: Path) -> tuple[int, int] | None:
    """Upright height and width, or None; see `read_header`."""
    header = read_header(path)
    return header.size if header else None


def _mentions(path: Path, marks: tuple[bytes, ...]) -> bool:
    content = path.read_bytes()
    return any(mark in content for mark in marks)
