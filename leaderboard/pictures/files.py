"""Frames and masks as small files, which may be kept beside the page.

Equal pixels give equal bytes: the encoders have fixed settings, and Pillow's version is locked. A
file of ours is recognised by its name, which is the hash of its content: nothing else in the folder
is ever replaced or removed.
"""

from __future__ import annotations

import hashlib
import io
import re
import zlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark import files
from benchmark.errors import InputError

#: JPEG quality: angiograms of 256² take some 9 kB, and the mean error is about one grey level.
QUALITY = 90
#: Number of hexadecimal digits of the SHA-256 of a file that make up its name.
DIGITS = 20

_NAME = re.compile(rf"[0-9a-f]{{{DIGITS}}}\.(jpg|png)")


class Picture(NamedTuple):
    """A file and its name, which is the hash of its content."""

    name: str
    content: bytes


def frame_picture(pixels: np.ndarray) -> Picture:
    """A grey frame, uint8 H×W, as a JPEG of quality `QUALITY`."""
    return _encoded(pixels, ".jpg", "JPEG", quality=QUALITY, optimize=True)


def mask_picture(labels: np.ndarray) -> Picture:
    """A label map H×W as a PNG of one bit: opaque white for any class, transparent elsewhere."""
    # Runs are nearly all that a mask has to compress: ten times as fast, and no larger.
    return _encoded(labels > 0, ".png", "PNG", transparency=0, compress_type=zlib.Z_RLE)


def name_of(content: bytes, suffix: str) -> str:
    """The name of a file with this content."""
    return hashlib.sha256(content).hexdigest()[:DIGITS] + suffix


def _encoded(pixels: np.ndarray, suffix: str, kind: str, **settings: int | bool) -> Picture:
    # Imported here, because only a board with pictures needs it.
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **settings)
    content = stream.getvalue()
    return Picture(name_of(content, suffix), content)


def pictures_folder(page: Path) -> Path:
    """Where the pictures of a page are kept: ``leaderboard_pictures`` beside ``leaderboard``."""
    return page.with_name(f"{page.name}_pictures")


def write_pictures(folder: Path, pictures: Mapping[str, bytes]) -> None:
    """Write the files that the folder lacks, each atomically.

    Raises:
        InputError: a file stands in place of the folder, or another one in place of a picture.
    """
    files.check_output_folder(folder)
    for name, content in pictures.items():
        path = folder / name
        if path.is_symlink() or path.exists():
            if not _is_ours(path):
                raise InputError(f"{path}: not the picture written here, or changed: move it away")
            continue
        with files.atomic_write(path) as stream:
            stream.write(content)


def remove_old_pictures(folder: Path, kept: Collection[str] = ()) -> None:
    """Remove our files from the folder except those `kept`, and the folder if it is then empty."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in files.list_folder(folder):
        if path.name not in kept and _is_ours(path):
            path.unlink()
    with suppress(OSError):  # not empty
        folder.rmdir()


def _is_ours(path: Path) -> bool:
    """Whether it is named by its content."""
    if not _NAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
        return False
    return name_of(files.read_regular(path), path.suffix) == path.name
