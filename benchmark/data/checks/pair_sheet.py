"""A contact sheet of image pairs for visual inspection."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from benchmark.files import atomic_write
from benchmark.text import visible

SIDE = 192
"""Side of the square in which an image is shown, in pixels."""

COLUMNS = 4

_GAP = 8
_LINE = 12
_TEXT = 3 * _LINE + 4
_CELL = (2 * SIDE + 2 * _GAP, SIDE + _TEXT + _GAP)
_MAX_CAPTION = 64  # characters that fit under two images

NamedImage = tuple[str, np.ndarray]
"""Name and grayscale pixels, uint8, H×W."""


def draw_pair_sheet(
    out: Path, pairs: Iterable[tuple[str, NamedImage, NamedImage]], count: int
) -> None:
    """Write `count` pairs, each with a title and the names of both images, as one PNG.

    The images keep their aspect ratio. Equal pairs give equal files.
    """
    rows = -(-count // COLUMNS)
    size = (min(count, COLUMNS) * _CELL[0] + _GAP, rows * _CELL[1] + _GAP)
    sheet = Image.new("L", size, 255)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for number, (title, *images) in enumerate(pairs):
        row, column = divmod(number, COLUMNS)
        left, top = _GAP + column * _CELL[0], _GAP + row * _CELL[1]
        for position, (_, pixels) in enumerate(images):
            shown = ImageOps.pad(Image.fromarray(np.ascontiguousarray(pixels)), (SIDE, SIDE))
            sheet.paste(shown, (left + position * SIDE, top))
        for line, text in enumerate([title, *(name for name, _ in images)]):
            place = (left, top + SIDE + 2 + line * _LINE)
            pen.text(place, _caption(text), fill=0, font=font)
    with atomic_write(out) as stream:
        sheet.save(stream, "PNG")


def _caption(text: str) -> str:
    """The end of a name, which distinguishes frames, in ASCII."""
    plain = visible(text).encode("ascii", "replace").decode()
    return plain if len(plain) <= _MAX_CAPTION else f"...{plain[3 - _MAX_CAPTION :]}"
