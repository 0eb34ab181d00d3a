"""The frames a command line names: files and folders, in all formats of `benchmark.data`.

Needs no torch, so that a misspelt path is reported at once.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.data.formats.list_files import nfc
from benchmark.data.frame import Frame
from benchmark.data.sources.files import natural_key, split_frame_path
from benchmark.data.sources.folder import VIDEO_EXTENSIONS, Folder
from benchmark.errors import InputError
from benchmark.files import sha256_bytes

ENDINGS = (".png", ".npz")
"""Extensions of the outputs."""

_KNOWN = (
    ".png",
    ".pgm",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".tif",
    ".tiff",
    ".npy",
    ".npz",
    *VIDEO_EXTENSIONS,
)
_DICOM = (".dcm", ".dicom", ".ima")
_NOT_DICOM = "not a DICOM file"
_OTHER = "neither an image, an npy or npz array, an avi, mp4 or mov video, nor a DICOM file"
_LONGEST = 200  # bytes of the 255 of a file name, with room for an ending and a hash


class InputFrame(NamedTuple):
    """One frame to predict.

    Attributes:
        path: relative to the folder that all inputs are in, with ``/``; of a multi-frame file it
            ends in ``#00012``, the position from 0.
        name: name of its outputs, without extension; relative, and unique even ignoring case.
        source, frame: how it is read; None where it cannot be.
        error: why it cannot be read.
    """

    path: str
    name: str
    source: GivenFrames | None = None
    frame: Frame | None = None
    error: str | None = None


class GivenFrames(Folder):
    """All frames below a folder, or those of some files in it.

    Args:
        root: the folder.
        files: its files to read, of any name; None for all that `Folder` knows.
    """

    def __init__(self, root: Path, files: Sequence[Path] | None = None) -> None:
        self._given = files
        super().__init__(root, group="none")

    def _files(self) -> Iterator[Path]:
        yield from super()._files() if self._given is None else self._given


def list_frames(arguments: Sequence[str | os.PathLike[str]]) -> list[InputFrame]:
    """The frames of files and folders in natural order, each once, unreadable ones included.

    Intensities of more than 8 bits are scaled as in training: by the file set, which is the folder
    of a file, not by the other frames to predict.

    Raises:
        InputError: a path does not exist, or a folder has no image, array, video or DICOM file.
    """
    folders, files = [], {}
    for path in map(Path, arguments):
        if path.is_dir():
            folders.append(path)
        elif path.exists() or path.is_symlink():
            files.setdefault(path.parent, []).append(path)
        else:
            raise InputError(f"{path}: no such file or folder")
    sources = [GivenFrames(folder) for folder in folders]
    sources += [GivenFrames(folder, inside) for folder, inside in files.items()]
    common = os.path.commonpath([os.path.abspath(source.root) for source in sources])
    found: dict[str, tuple[GivenFrames, Frame | None, str | None]] = {}
    for source in sources:
        start = os.path.relpath(os.path.abspath(source.root), common)
        for frame in source.frames():
            path = _joined(start, frame.path)
            if _is_unicode(path):
                found.setdefault(path, (source, frame, None))
            else:
                source.report.add("name is not Unicode", frame.path)
        for reason, skipped in source.report.items:
            if reason == _NOT_DICOM and not skipped.lower().endswith(_DICOM):
                reason = _OTHER
            found.setdefault(_joined(start, skipped), (source, None, reason))
    paths = sorted(found, key=natural_key)
    return [InputFrame(path, name, *found[path]) for path, name in zip(paths, output_names(paths))]


def _joined(start: str, path: str) -> str:
    return path if start == os.curdir else f"{Path(start).as_posix()}/{path}"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def output_names(paths: Sequence[str]) -> list[str]:
    """Names for the outputs of frames, as `InputFrame`, that mirror the folders of the inputs.

    ``a/b.png`` becomes ``a/b`` and frame 12 of ``v.npz`` ``v/00012``. Where two would be the same,
    both keep the ending of their file; where that is not enough, a hash of the path is appended.
    """
    counts = Counter(split_frame_path(path)[0] for path in paths)

    def named(path: str, ending: bool) -> str:
        file, position = split_frame_path(path)
        base, extension = os.path.splitext(file)
        if not ending and extension.lower() in (*_KNOWN, *_DICOM):
            file = base
        file = "/".join(_shortened(part) for part in file.split("/"))
        single = position is None or counts[split_frame_path(path)[0]] == 1
        return file if single else f"{file}/{position:05d}"

    names = [named(path, ending=False) for path in paths]
    for place in _clashing(names):
        names[place] = named(paths[place], ending=True)
    for place in _clashing(names):
        names[place] += f"-{sha256_bytes(paths[place].encode())[:8]}"
    return names


def _shortened(part: str) -> str:
    data = part.encode()
    if len(data) <= _LONGEST:
        return part
    return f"{data[:_LONGEST].decode(errors='ignore')}-{sha256_bytes(data)[:8]}"


def _clashing(names: Sequence[str]) -> list[int]:
    """Places of names that are not unique, or whose file would take the place of a folder."""
    folded = [nfc(name).casefold() for name in names]
    counts = Counter(folded)
    folders = {parent.as_posix() for name in folded for parent in Path(name).parents}
    return [
        place
        for place, name in enumerate(folded)
        if counts[name] > 1 or any(name + ending in folders for ending in ENDINGS)
    ]


def refuse_inside(out: Path, arguments: Sequence[str | os.PathLike[str]]) -> None:
    """Refuse to write into a folder of frames: the next prediction would read its own outputs.

    Raises:
        InputError: `out` is one of the folders, or below one.
    """
    place = out.resolve()
    for folder in filter(Path.is_dir, map(Path, arguments)):
        if place.is_relative_to(folder.resolve()):
            raise InputError(f"--out {out}: inside {folder}, which is read; choose another folder")
