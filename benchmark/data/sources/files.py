"""What every reader of a raw folder needs: walking it and finding its root."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.frame import Frame, SkipReport, UnreadableFrame
from benchmark.errors import InputError

if TYPE_CHECKING:
    import numpy as np

IMAGE_EXTENSIONS = frozenset({".png", ".pgm", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
_CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_DIGITS = re.compile(r"(\d+)")


def one_of(what: str, value: str, known: Iterable[str]) -> str:
    """`value` if it is one of `known`.

    Raises:
        InputError: it is not; the message names the nearest known value, or all of them.
    """
    known = list(known)
    if value in known:
        return value
    nearest = difflib.get_close_matches(value, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"one of {', '.join(known)}"
    raise InputError(f"unknown {what} {value!r}; {hint}")


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts ``p4`` before ``p14``, whatever the case; the name itself breaks ties."""
    parts = _DIGITS.split(name.casefold())
    return [int(part) if part.isdecimal() else part for part in parts], name


def list_folder(folder: Path) -> list[Path]:
    """Entries of `folder` in natural order, without hidden files and archivers' clutter."""
    entries = (
        entry
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and entry.name.casefold() not in _CLUTTER
    )
    return sorted(entries, key=lambda entry: natural_key(entry.name))


def find_entry(folder: Path, name: str) -> Path | None:
    """The entry of `folder` with this name in any spelling of upper and lower case, or None."""
    return next((e for e in list_folder(folder) if e.name.casefold() == name.casefold()), None)


def walk_images(
    root: Path, extensions: Iterable[str] = IMAGE_EXTENSIONS, nested: bool = True
) -> Iterator[Path]:
    """Image files below `root` in natural order, files of a folder before its sub-folders.

    Extensions are compared without regard to case. Links to folders are followed; a folder that
    is reached twice (a link to a parent) is walked once.
    """
    wanted = frozenset(extensions)
    seen: set[Path] = set()

    def walk(folder: Path) -> Iterator[Path]:
        if folder.resolve() in seen:
            return
        seen.add(folder.resolve())
        entries = list_folder(folder)
        yield from (e for e in entries if e.suffix.lower() in wanted and e.is_file())
        if nested:
            for entry in entries:
                if entry.is_dir():
                    yield from walk(entry)

    yield from walk(root)


def find_root(
    raw: str | os.PathLike[str] | None, looks_right: Callable[[Path], bool], what: str
) -> Path:
    """The folder at or at most two levels below `raw` that looks like the dataset.

    Archives are often unpacked one level too deep (``XCAD/XCAD``), and users name the folder
    above as often as the dataset itself. The shallowest match wins.

    Args:
        raw: folder given by the user.
        looks_right: whether a folder is the root of the dataset.
        what: what is looked for, for the message: ``"CADICA (a folder selectedVideos)"``.

    Raises:
        InputError: `raw` is missing, is not a folder, or no folder looks right.
    """
    if raw is None:
        raise InputError(f"this source reads a downloaded folder; give it with --raw: {what}")
    top = Path(raw)
    if not top.is_dir():
        raise InputError(f"{top}: {'not a folder' if top.exists() else 'no such folder'}")
    level = [top]
    for _ in range(3):
        for folder in level:
            if looks_right(folder):
                return folder
        level = [entry for folder in level for entry in list_folder(folder) if entry.is_dir()]
    archives = [e.name for e in list_folder(top) if e.suffix.lower() in {".zip", ".7z", ".tar"}]
    hint = f"; unpack {archives[0]} first" if archives else ""
    raise InputError(f"{top}: this does not look like {what}{hint}")


class FolderSource:
    """What sources that read image files below one root have in common.

    A reader sets `name`, `root` and `options`, and yields frames whose `path` is relative
    to `root`. Where `annotation` is the path of a mask, it is vessel where the grey value is above
    `mask_threshold`; a reader with another kind of truth defines `read_masks` or `read_boxes`.
    """

    name: str
    root: Path
    options: dict[str, str | int | float]
    expected: dict[str, int] = {}
    split_note = "the dataset has no split"
    official_split = False
    forms: tuple[str, ...] = ("pack",)
    classes: tuple[str, ...] = ()
    mask_threshold = 0

    def __init__(self) -> None:
        self.options = {}
        self.report = SkipReport()

    @property
    def task(self) -> str:
        """Name of the downstream task."""
        return self.name

    def relative(self, path: Path) -> str:
        """`path` below the root, with ``/`` on every system."""
        return path.relative_to(self.root).as_posix()

    def read(self, frame: Frame) -> np.ndarray:
        """Grey pixels, uint8, H×W. Raises `UnreadableFrame`."""
        # Imported here, so that command lines can list the sources without loading numpy.
        from benchmark.data.sources.decoding import read_grey

        return read_grey(self.root / frame.path)

    def read_masks(self, frame: Frame) -> np.ndarray:
        """Vessel mask, bool, 1×H×W. Raises `UnreadableFrame`, also where there is no mask."""
        if frame.annotation is None:
            raise UnreadableFrame("no mask")
        from benchmark.data.sources.decoding import read_grey

        try:
            return read_grey(self.root / frame.annotation)[None] > self.mask_threshold
        except UnreadableFrame as error:
            raise UnreadableFrame(f"mask: {error}") from None

    def read_boxes(self, frame: Frame) -> np.ndarray:
        """Boxes, float64, N×5. Raises `UnreadableFrame`: a reader with boxes defines this."""
        raise UnreadableFrame("no boxes")
