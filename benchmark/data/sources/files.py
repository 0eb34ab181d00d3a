"""What every reader of a raw folder needs: walking it and finding its root."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.formats.list_files import name_key
from benchmark.data.formats.pointers import is_dangling, pointer_reason
from benchmark.data.frame import Frame, SkipReport, UnreadableFrame
from benchmark.errors import InputError
from benchmark.files import list_folder as entries_of

if TYPE_CHECKING:
    import numpy as np

    from benchmark.data.formats.masks import Paint
    from benchmark.data.formats.video import Video
    from benchmark.data.formats.white_levels import Apply, WhiteLevels

IMAGE_EXTENSIONS = frozenset({".png", ".pgm", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
_CLUTTER = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_ARCHIVES = frozenset({".zip", ".7z", ".rar", ".tar", ".tgz", ".gz"})
_DIGITS = re.compile(r"(\d+)")
_POSITION = re.compile(r"(.+)#(\d{5,9})", re.DOTALL)


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts ``p4`` before ``p14``, whatever the case; the name itself breaks ties."""
    parts = _DIGITS.split(name_key(name))
    return [int(part) if part.isdecimal() else part for part in parts], name


def list_visible(folder: Path) -> list[Path]:
    """Entries of `folder` in natural order, without hidden files and archivers' clutter."""
    entries = (
        entry
        for entry in entries_of(folder)
        if not entry.name.startswith(".") and entry.name.casefold() not in _CLUTTER
    )
    return sorted(entries, key=lambda entry: natural_key(entry.name))


def find_entry(folder: Path, name: str) -> Path | None:
    """The entry of `folder` with this name in any spelling (see `name_key`), or None."""
    return next((e for e in list_visible(folder) if name_key(e.name) == name_key(name)), None)


def is_file(path: Path) -> bool:
    """Whether a path is a file, or a link to one that was not fetched: reading it says so."""
    return path.is_file() or is_dangling(path)


def walk_images(
    root: Path, extensions: Iterable[str] = IMAGE_EXTENSIONS, nested: bool = True
) -> Iterator[Path]:
    """Image files below `root` in natural order, files of a folder before its sub-folders.

    Extensions are compared without regard to case.
    """
    wanted = frozenset(extensions)
    return walk_files(root, lambda path: path.suffix.lower() in wanted, nested)


def walk_files(
    root: Path,
    wanted: Callable[[Path], bool],
    nested: bool = True,
    enter: Callable[[Path], bool] = lambda folder: True,
) -> Iterator[Path]:
    """Files below `root` in natural order, files of a folder before its sub-folders.

    Links to folders are followed; a folder that is reached twice (a link to a parent) is walked
    once.

    Args:
        root: where to start.
        wanted: whether a file is yielded, told by its name.
        nested: whether to walk the sub-folders.
        enter: whether a sub-folder is walked.
    """
    seen: set[Path] = set()

    def walk(folder: Path) -> Iterator[Path]:
        if folder.resolve() in seen:
            return
        seen.add(folder.resolve())
        entries = list_visible(folder)
        yield from (entry for entry in entries if wanted(entry) and is_file(entry))
        if nested:
            for entry in entries:
                if entry.is_dir() and enter(entry):
                    yield from walk(entry)

    yield from walk(root)


def given_folder(raw: str | os.PathLike[str] | None, what: str) -> Path:
    """The folder given by the user, which should hold `what`.

    Raises:
        InputError: none is given, or there is no such folder.
    """
    if raw is None:
        raise InputError(f"this source reads a downloaded folder; give it with --raw: {what}")
    top = Path(raw)
    if not top.is_dir():
        raise InputError(f"{top}: {'not a folder' if top.exists() else 'no such folder'}")
    return top


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
    top = given_folder(raw, what)
    root = search_root(top, looks_right)
    if root is None:
        raise InputError(f"{top}: this does not look like {what}{absence_hint(top)}")
    return root


def absence_hint(top: Path) -> str:
    """What in `top` or a folder of it stands for data that are not there yet, and what to do.

    ``"; unpack X.zip first"``, a folder kept by DVC or a link without its target; or nothing.
    """
    folders = [top, *(entry for entry in list_visible(top) if entry.is_dir())]
    for entry in (entry for folder in folders for entry in list_visible(folder)):
        if entry.suffix.lower() in _ARCHIVES:
            return f"; unpack {entry.name} first"
        if entry.suffix.lower() == ".dvc":
            return f"; fetch what {entry.name} stands for first (dvc pull)"
        if is_dangling(entry):
            return f"; {entry.name}: {pointer_reason(entry)}"
    return ""


def search_root(top: Path, looks_right: Callable[[Path], bool]) -> Path | None:
    """The shallowest folder, `top` or at most two levels below, that looks right; or None."""
    level = [top]
    for _ in range(3):
        for folder in level:
            if looks_right(folder):
                return folder
        level = [entry for folder in level for entry in list_visible(folder) if entry.is_dir()]
    return None


def is_dicom(path: Path) -> bool:
    """Whether a file begins like DICOM: 128 bytes of anything, then ``DICM``. Raises OSError."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def frame_path(file: str, position: int) -> str:
    """`Frame.path` of the frame at `position` (from 0) of a file that holds several."""
    return f"{file}#{position:05d}"


def split_frame_path(path: str) -> tuple[str, int | None]:
    """File and position of a frame; the position is None for a file that is one picture."""
    match = _POSITION.fullmatch(path)
    return (match[1], int(match[2])) if match else (path, None)


class FolderSource:
    """What sources that read image files below one root have in common.

    A reader sets `name`, `root` and `options`, and yields frames whose `path` is relative
    to `root`. Where `annotation` is the path of a mask, it is read by the rule of
    `benchmark.data.formats.masks`; a reader with another kind of truth defines `read_masks` or
    `read_boxes`.
    A pack holds the splits in `pack_splits` unless others are asked for; None: every frame.
    What reading finds out about intensities is added to `notes`, as (reason, where), once.
    """

    name: str
    root: Path
    options: dict[str, str | int | float]
    expected: dict[str, int] = {}
    split_note = "the dataset has no split"
    official_split = False
    forms: tuple[str, ...] = ("pack",)
    pack_splits: tuple[str, ...] | None = None
    classes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.options = {}
        self.report = SkipReport()
        self.notes: list[tuple[str, str]] = []
        self._noted: set[tuple[str, str]] = set()

    @property
    def task(self) -> str:
        """Name of the downstream task."""
        return self.name

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

        What has no partner, and every further file of the same key, goes into the report.
        """
        tables: list[dict[str, Path]] = []
        for paths in (images, masks):
            table: dict[str, Path] = {}
            for path in paths:
                if table.setdefault(key(path), path) is not path:
                    self.report.add("same name twice", self.relative(path))
            tables.append(table)
        first, second = tables
        for name in (name for name in first if name not in second):
            self.report.add("image without a mask", self.relative(first[name]))
        for name in (name for name in second if name not in first):
            self.report.add("mask without an image", self.relative(second[name]))
        return [(path, second[name]) for name, path in first.items() if name in second]

    def read(self, frame: Frame) -> np.ndarray:
        """Grey pixels, uint8, H×W. Raises `UnreadableFrame`.

        Where the file does not say how many of its bits are used, its file set decides.
        """
        # Imported here, so that command lines can list the sources without loading numpy.
        from benchmark.data.formats.bit_depth import NARROW, WHITE_DECIDED, depth_note, is_narrow
        from benchmark.data.formats.images import read_image

        path = self.root / frame.path
        picture = read_image(path)
        if picture.depths == (8,):
            return picture.grey()
        white = None
        if len(picture.depths) > 1:
            white, name = self._levels.white(path, picture)
            self.note(WHITE_DECIDED, f"{name}: {depth_note(white)}")
        grey = picture.grey(white)
        if is_narrow(grey):
            self.note(NARROW, frame.path)
        return grey

    def read_position(
        self, file: str, position: int, decode: Callable[[Path], Video]
    ) -> np.ndarray:
        """The frame at `position` of a file that holds several, decoded by `decode`; as `read`."""
        from benchmark.data.formats.video import read_frame

        grey, notes = read_frame(self.root / file, position, decode)
        for reason, detail in notes:
            self.note(reason, f"{file}: {detail}" if detail else file)
        return grey

    def note(self, reason: str, where: str) -> None:
        """Add to `notes` what was not noted yet."""
        if (reason, where) not in self._noted:
            self._noted.add((reason, where))
            self.notes.append((reason, where))

    @functools.cached_property
    def _levels(self) -> WhiteLevels:
        from benchmark.data.formats.white_levels import WhiteLevels

        return WhiteLevels(self.file_set)

    def file_set(self, path: Path) -> tuple[str, Iterable[Path]]:
        """Name and files of the set that has one white with a picture.

        It is the folder of the picture or, where the picture is alone in it, the nearest folder
        above it with others, down to all levels.
        """
        folder = path.parent
        files = list(walk_images(folder, nested=False))
        while len(files) < 2 and folder != self.root:
            folder = folder.parent
            files = list(walk_images(folder))
        return "all pictures" if folder == self.root else self.relative(folder), files

    def prepare(self, frames: Iterable[Frame], apply: Apply) -> None:
        """Decide what frames have in common, before several processes read them.

        Args:
            frames: what will be read.
            apply: like `map`, perhaps in several processes.

        Raises:
            OSError: the disk or the system failed.
        """
        files = (split_frame_path(frame.path) for frame in frames)
        self._levels.prepare((self.root / file for file, at in files if at is None), apply)

    def read_masks(self, frame: Frame) -> np.ndarray:
        """Vessel mask, upright, bool, 1×H×W. Raises `UnreadableFrame`, also if there is no mask."""
        if frame.annotation is None:
            raise UnreadableFrame("no mask")
        from benchmark.data.formats.headers import read_header
        from benchmark.data.formats.masks import read_mask, same_paint
        from benchmark.data.formats.orientation import turned

        try:
            vessel, paint = read_mask(self.root / frame.annotation)
        except UnreadableFrame as error:
            raise UnreadableFrame(f"mask: {error}") from None
        header = read_header(self.root / frame.path)
        if header and header.drawn_size(vessel.shape) != header.size:
            vessel = turned(vessel, header.orientation)
        if paint is not None and not same_paint(paint, self._common_paint):
            raise UnreadableFrame("mask: vessel in another colour than in the other masks")
        return vessel[None]

    @functools.cached_property
    def _common_paint(self) -> Paint:
        """What the vessels of the dataset are painted in; asked for where one is not white."""
        from benchmark.data.formats.masks import common_paint, read_mask

        report, paints = self.report, []
        for frame in self.frames():
            if frame.annotation is not None:
                with contextlib.suppress(UnreadableFrame):
                    vessel, paint = read_mask(self.root / frame.annotation)
                    paints += [paint] * bool(vessel.any())
        self.report = report
        return common_paint(paints)

    def read_boxes(self, frame: Frame) -> np.ndarray:
        """Boxes, float64, N×5. Raises `UnreadableFrame`: a reader with boxes defines this."""
        raise UnreadableFrame("no boxes")
