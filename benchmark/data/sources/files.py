"""Walking a raw folder, finding its root, and what all readers of image files share."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.formats.list_files import name_key
from benchmark.data.frame import Frame, Source, UnreadableFrame
from benchmark.errors import InputError
from benchmark.files import list_folder
from benchmark.files.contents import is_broken_link, pointer_reason

if TYPE_CHECKING:
    import numpy as np

    from benchmark.data.formats.headers import Header
    from benchmark.data.formats.masks import MaskColour
    from benchmark.data.formats.video import Video
    from benchmark.data.formats.white_levels import Apply, WhiteLevels

Raw = str | os.PathLike[str] | None
"""The folder of a download; None for a source that reads nothing."""

IMAGE_EXTENSIONS = frozenset({".png", ".pgm", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
_CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_ARCHIVES = frozenset({".zip", ".7z", ".rar", ".tar", ".tgz", ".gz"})
_DIGITS = re.compile(r"(\d+)")
_POSITION = re.compile(r"(.+)#(\d{5,9})", re.DOTALL)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts ``p4`` before ``p14``, ignoring case; the name itself breaks ties."""
    parts = _DIGITS.split(name_key(name))
    return [int(part) if part.isdecimal() else part for part in parts], name


def list_entries(folder: Path) -> list[Path]:
    """Entries of `folder` in natural order, without hidden files and archiver clutter."""
    entries = (
        entry
        for entry in list_folder(folder)
        if not entry.name.startswith(".") and entry.name.casefold() not in _CLUTTER
    )
    return sorted(entries, key=lambda entry: natural_key(entry.name))


def list_folders(folder: Path) -> list[Path]:
    """Sub-folders of `folder`, as `list_entries`."""
    return [entry for entry in list_entries(folder) if entry.is_dir()]


def find_entry(folder: Path, name: str) -> Path | None:
    """The entry of `folder` with this name in any spelling (see `name_key`), or None."""
    return next((e for e in list_entries(folder) if name_key(e.name) == name_key(name)), None)


def find_folder(top: Path, path: str) -> Path | None:
    """The folder at ``a/b`` below `top`, in any spelling, or None."""
    for name in path.split("/"):
        entry = find_entry(top, name)
        if entry is None or not entry.is_dir():
            return None
        top = entry
    return top


def is_file(path: Path) -> bool:
    """Whether a path is a file, or a broken link, which reading will report."""
    return path.is_file() or is_broken_link(path)


def walk_images(
    root: Path,
    extensions: Collection[str] = IMAGE_EXTENSIONS,
    nested: bool = True,
    enter: Callable[[Path], bool] = lambda folder: True,
) -> Iterator[Path]:
    """Files below `root` with one of these extensions, in any case; see `walk_files`."""
    return walk_files(root, lambda path: path.suffix.lower() in extensions, nested, enter)


def walk_files(
    root: Path,
    wanted: Callable[[Path], bool],
    nested: bool = True,
    enter: Callable[[Path], bool] = lambda folder: True,
) -> Iterator[Path]:
    """The `wanted` files below `root` in natural order, files of a folder before its sub-folders.

    Sub-folders are walked if `nested`, those that `enter` accepts. Links to folders are followed; a
    folder reached twice (through a link to a parent) is walked once.
    """
    seen: set[Path] = set()

    def walk(folder: Path) -> Iterator[Path]:
        if folder.resolve() in seen:
            return
        seen.add(folder.resolve())
        entries = list_entries(folder)
        yield from (entry for entry in entries if wanted(entry) and is_file(entry))
        for entry in entries if nested else ():
            if entry.is_dir() and enter(entry):
                yield from walk(entry)

    yield from walk(root)


def require_folder(raw: Raw, expected: str) -> Path:
    """The folder given by the user, or `InputError`, which says what it should hold."""
    if raw is None:
        raise InputError(f"this source reads a downloaded folder; give it with --raw: {expected}")
    top = Path(raw)
    if not top.is_dir():
        raise InputError(f"{top}: {'not a folder' if top.exists() else 'no such folder'}")
    return top


def find_root(
    raw: Raw, is_root: Callable[[Path], bool], expected: str, inside: Collection[str] = ()
) -> Path:
    """The root of the dataset: `raw`, or a folder at most two levels below it.

    Archives are often unpacked one level too deep (``XCAD/XCAD``), and users name the folder above
    as often as the dataset itself. The shallowest match wins.

    Args:
        raw: folder given by the user.
        is_root: whether a folder is the root.
        expected: for the message: ``"CADICA (a folder selectedVideos)"``.
        inside: names, in lower case, of folders of the dataset that a user may give instead of it.

    Raises:
        InputError: `raw` is not a folder, or there is no such root.
    """
    if raw is not None and os.path.basename(os.path.abspath(raw)).casefold() in inside:
        raw = os.path.dirname(os.path.abspath(raw))
    top = require_folder(raw, expected)
    root = search_root(top, is_root)
    if root is None:
        raise InputError(f"{top}: this does not look like {expected}{missing_data_hint(top)}")
    return root


def missing_data_hint(top: Path) -> str:
    """How to get data that `top` only has a placeholder for, as the end of a message.

    ``"; unpack X.zip first"``, or a folder kept by DVC, or a broken link; or nothing.
    """
    for entry in (entry for folder in [top, *list_folders(top)] for entry in list_entries(folder)):
        if entry.suffix.lower() in _ARCHIVES:
            return f"; unpack {entry.name} first"
        if entry.suffix.lower() == ".dvc":
            return f"; fetch the data of {entry.name} first (dvc pull)"
        if is_broken_link(entry):
            return f"; {entry.name}: {pointer_reason(entry)}"
    return ""


def search_root(top: Path, is_root: Callable[[Path], bool]) -> Path | None:
    """The shallowest folder, `top` or at most two levels below, that is a root; or None."""
    level = [top]
    for _ in range(3):
        for folder in level:
            if is_root(folder):
                return folder
        level = [entry for folder in level for entry in list_folders(folder)]
    return None


def is_dicom(path: Path) -> bool:
    """Whether a file starts like DICOM: any 128 bytes, then ``DICM``. Raises OSError."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def frame_path(file: str, position: int) -> str:
    """`Frame.path` of the frame at `position` (from 0) of a multi-frame file."""
    return f"{file}#{position:05d}"


def split_frame_path(path: str) -> tuple[str, int | None]:
    """File and position of a frame; the position is None for a single image."""
    match = _POSITION.fullmatch(path)
    return (match[1], int(match[2])) if match else (path, None)


class FolderSource(Source):
    """Base class of the sources that read image files below one root.

    A reader sets `name`, `root` and `options`, and yields frames whose `path` is relative to
    `root`. Where `annotation` is the path of a mask, it is read by the rule of
    `benchmark.data.formats.masks`.
    How intensities were scaled is added to `notes`, as (reason, where), once.
    """

    root: Path

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[str, str]] = []
        self._noted: set[tuple[str, str]] = set()

    def relative(self, path: Path) -> str:
        """`path` below the root, with ``/`` on every system."""
        return path.relative_to(self.root).as_posix()

    def pair(
        self,
        images: Iterable[Path],
        masks: Iterable[Path],
        key: Callable[[Path], str] = lambda path: name_key(path.stem),
    ) -> list[tuple[Path, Path]]:
        """Images and masks of the same `key`, in the order of the images.

        Unpaired files, and further files with the same key, go into the report.
        """
        image_of, mask_of = (self.by_key(paths, key) for paths in (images, masks))
        for name in (name for name in image_of if name not in mask_of):
            self.report.add("image without a mask", self.relative(image_of[name]))
        for name in (name for name in mask_of if name not in image_of):
            self.report.add("mask without an image", self.relative(mask_of[name]))
        return [(path, mask_of[name]) for name, path in image_of.items() if name in mask_of]

    def by_key(self, paths: Iterable[Path], key: Callable[[Path], str]) -> dict[str, Path]:
        """Files by `key`; further files with the same key go into the report."""
        found: dict[str, Path] = {}
        for path in paths:
            if found.setdefault(key(path), path) is not path:
                self.report.add("duplicate name", self.relative(path))
        return found

    def read(self, frame: Frame) -> np.ndarray:
        # Where the file does not state its bit depth, its file set decides.
        # Imported here, so that command lines can list the sources without loading numpy.
        from benchmark.data.formats.bit_depth import (
            NARROW_RANGE,
            WHITE_FROM_MAXIMUM,
            has_narrow_range,
            white_note,
        )
        from benchmark.data.formats.images import read_image

        path = self.root / frame.path
        image = read_image(path)
        if image.depths == (8,):
            return image.to_grayscale()
        white = None
        if len(image.depths) > 1:
            white, name = self._white_levels.white(path, image)
            self.note(WHITE_FROM_MAXIMUM, f"{name}: {white_note(white)}")
        gray = image.to_grayscale(white)
        if has_narrow_range(gray):
            self.note(NARROW_RANGE, frame.path)
        return gray

    def read_video_frame(
        self, file: str, position: int, decode: Callable[[Path], Video]
    ) -> np.ndarray:
        """The frame at `position` of a multi-frame file, decoded by `decode`; as `read`."""
        from benchmark.data.formats.video import read_frame

        gray, notes = read_frame(self.root / file, position, decode)
        for reason, detail in notes:
            self.note(reason, f"{file}: {detail}" if detail else file)
        return gray

    def note(self, reason: str, where: str) -> None:
        """Add to `notes`, once."""
        if (reason, where) not in self._noted:
            self._noted.add((reason, where))
            self.notes.append((reason, where))

    @functools.cached_property
    def _white_levels(self) -> WhiteLevels:
        from benchmark.data.formats.white_levels import WhiteLevels

        return WhiteLevels(self.file_set)

    def file_set(self, path: Path) -> tuple[str, Iterable[Path]]:
        """Name and files of the set whose images share the white level of `path`.

        It is the folder of the image or, where it is the only image there, the nearest folder above
        that holds others, at any depth.
        """
        folder = path.parent
        files = list(walk_images(folder, nested=False))
        while len(files) < 2 and folder != self.root:
            folder = folder.parent
            files = list(walk_images(folder))
        return "all images" if folder == self.root else self.relative(folder), files

    def prepare(self, frames: Iterable[Frame], apply: Apply) -> None:
        """Decide what `frames` share before several processes read them.

        `apply` is like `map`, perhaps in several processes.
        """
        files = (split_frame_path(frame.path) for frame in frames)
        self._white_levels.prepare((self.root / file for file, at in files if at is None), apply)

    def header(self, frame: Frame) -> Header:
        """Size and orientation; of an image without a usable header as it is read, or refused."""
        from benchmark.data.formats.headers import Header, read_header

        return read_header(self.root / frame.path) or Header(self.read(frame).shape, 1)

    def read_masks(self, frame: Frame) -> np.ndarray:
        """Vessel mask, upright, bool, 1×H×W. Raises `UnreadableFrame`, also if there is none."""
        if frame.annotation is None:
            raise UnreadableFrame("no mask")
        from benchmark.data.formats.headers import read_header
        from benchmark.data.formats.masks import read_mask, same_colour
        from benchmark.data.formats.orientation import apply_orientation

        try:
            vessel, colour = read_mask(self.root / frame.annotation)
        except UnreadableFrame as error:
            raise UnreadableFrame(f"mask: {error}") from None
        header = read_header(self.root / frame.path)
        if header and header.annotated_size(vessel.shape) != header.size:
            vessel = apply_orientation(vessel, header.orientation)
        if colour is not None and not same_colour(colour, self._dominant_colour):
            raise UnreadableFrame("mask: vessel colour differs from the other masks")
        return vessel[None]

    @functools.cached_property
    def _dominant_colour(self) -> MaskColour:
        """Vessel colour of the dataset; needed only if some mask is not white."""
        from benchmark.data.formats.masks import dominant_colour, read_mask

        report, colours = self.report, []
        for frame in self.frames():
            if frame.annotation is not None:
                with contextlib.suppress(UnreadableFrame):
                    vessel, colour = read_mask(self.root / frame.annotation)
                    colours += [colour] * bool(vessel.any())
        self.report = report
        return dominant_colour(colours)
