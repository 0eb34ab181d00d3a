"""Any folder of angiograms: images, npy, npz, avi and mp4 videos, XA DICOM files, at any depth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from benchmark.data.formats.list_files import nfc
from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.sources.files import (
    IMAGE_EXTENSIONS,
    FolderSource,
    Raw,
    frame_path,
    is_dicom,
    missing_data_hint,
    require_folder,
    split_frame_path,
    walk_files,
)
from benchmark.data.sources.own_split import OwnSplit, listed_names, report_shared_patients
from benchmark.data.sources.patients import distinct_prefixes, patient_folders, prefixes
from benchmark.data.splits import split_of
from benchmark.errors import InputError
from benchmark.type_hints import Rate, Seed

if TYPE_CHECKING:
    import numpy as np

GroupRule = Literal["auto", "patient", "folder", "prefix", "none"]

_ARRAYS = frozenset({".npy", ".npz"})
VIDEO_EXTENSIONS = frozenset({".avi", ".mp4", ".m4v", ".mov"})
_DICOM = frozenset({".dcm", ".dicom", ".ima"})
# Exported DICOM files are often named by a UID (1.2.840.113619), whose end only looks like an
# extension, or have no extension (IM000001).
_NO_EXTENSION = re.compile(r"(\.\d+)?")
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_EXPECTED = (
    "a folder of images (png, jpg, bmp, tif), arrays (npy, npz), videos (avi, mp4, mov) or DICOM "
    "files"
)


class _File(NamedTuple):
    """A usable file.

    Attributes:
        frames: its number of frames; None: a single image.
        patient: its PatientID, hashed; None where it states none.
        lost: whether some of its frames cannot be decoded.
    """

    path: Path
    frames: int | None = None
    patient: str | None = None
    lost: bool = False


def _may_be_dicom(path: Path) -> bool:
    try:
        return is_dicom(path)
    except (PermissionError, FileNotFoundError):
        # Reading the header will say why the file is skipped.
        return True


class Folder(FolderSource):
    """Reader of any folder.

    A file without an extension is read as DICOM if it starts like one; files of other types are
    ignored. DICOM files of modalities other than XA are skipped and counted. A video whose header
    states more frames than can be decoded is read as far as possible, and counted as well.

    Args:
        raw: the folder.
        group: how the patient of a file is identified. ``patient``: by DICOM's PatientID (hashed);
            ``folder``: by the first folder level with at least two different names that contain a
            digit; ``prefix``: by the file name up to the first ``_``, ``-`` or space; ``none``: not
            at all; ``auto``: by PatientID if every file has one; otherwise by folder, PatientID or
            prefix, the first that applies, and a prefix only if it contains a digit and is not the
            same for all files. Files of unknown patients are used as well, but counted in the
            report.
        name: name of the source in the index: lower-case letters, digits, ``_`` and ``-``.
        form: ``denoising``: frames get the split that their folder names, or that of the following
            options.
        split_file: a list ``name,split`` (see `benchmark.data.splits.read_split_file`); its names
            are files, with or without folders and extension, or patients.
        test_fraction: share of the frames that become ``test``, by patient.
        seed: seed of that choice.

    Raises:
        InputError: from `frames`: the folder holds masks beside the images.
    """

    name = "folder"
    forms = ("pack", "denoising")
    reads_videos = True  # whether avi, mp4 and mov files are read

    def __init__(
        self,
        raw: Raw,
        *,
        group: GroupRule = "auto",
        name: str = "folder",
        form: Literal["pack", "denoising"] = "pack",
        split_file: str = "",
        test_fraction: Rate = 0.0,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        self._rule = group
        self._with_splits = form == "denoising"
        self._split = OwnSplit.create(split_file, test_fraction, seed)
        if not _SLUG.fullmatch(name):
            raise InputError(
                f"option name={name}: use lower-case letters, digits, _ and -, at most 64"
            )
        self.name = name
        self.options = {"group": group, "name": name, **self._split.options}
        self.root = require_folder(raw, _EXPECTED)
        self._splits: set[str] = set()
        if next(self._files(), None) is None:
            raise InputError(f"{self.root}: not {_EXPECTED}{missing_data_hint(self.root)}")

    def enter(self, folder: Path) -> bool:
        """Whether a sub-folder is walked."""
        return True

    def _files(self) -> Iterator[Path]:
        known = (
            IMAGE_EXTENSIONS | _ARRAYS | _DICOM | (VIDEO_EXTENSIONS if self.reads_videos else set())
        )

        def wanted(path: Path) -> bool:
            suffix = path.suffix.lower()
            possible = suffix in known or _NO_EXTENSION.fullmatch(suffix) is not None
            # A DICOMDIR is DICOM, but a list of files and not an image.
            return possible and path.name.casefold() != "dicomdir"

        for path in walk_files(self.root, wanted, enter=self.enter):
            if path.suffix.lower() in known or _may_be_dicom(path):
                yield path

    def walk(self) -> Iterator[Frame]:
        if not self._with_splits:
            yield from self._frames()
            return
        frames = [
            replace(frame, split=split_of(self.root / frame.path, self.root))
            for frame in self._frames()
        ]
        frames = self._split.apply(frames, _names, self.report)
        self.split_note = self._split.note(frames) or "the folders the frames lie in"
        report_shared_patients(frames, self.report)
        self._splits = {frame.split for frame in frames if frame.split}
        yield from frames

    def check_splits(self) -> None:
        self._split.check(self._splits, f"{self.root}: frames", "folders {train,val,test}")

    def _frames(self) -> Iterator[Frame]:
        files: list[_File] = []
        for path in self._files():
            try:
                files.append(_read_header(path))
            except UnreadableFrame as error:
                self.report.add(str(error), self.relative(path))
        self._refuse_masks([file.path for file in files])
        for file, patient in zip(files, self._patients(files)):
            path, count = self.relative(file.path), file.frames
            if file.lost:
                self.report.add("frames that cannot be decoded", path)
            if patient is None and self._rule != "none":
                self.report.add("patient unknown", path)
            group = None if patient is None else f"{self.name}/{nfc(patient)}"
            if count is None:
                yield Frame(self.name, path, group)
                continue
            video = f"{self.name}/{path}"
            for position in range(count):
                yield Frame(self.name, frame_path(path, position), group, video, position)

    def _refuse_masks(self, paths: list[Path]) -> None:
        """Raise `InputError` for paired folders, whose masks would become frames."""
        children: dict[Path, set[str]] = {}
        for path in paths:
            for folder in path.relative_to(self.root).parents[:-1]:
                children.setdefault(folder.parent, set()).add(folder.name.casefold())
        for folder, names in children.items():
            if {"images", "masks"} <= names:
                raise InputError(
                    f"{self.root / folder}: holds masks beside the images; read it with the source "
                    "paired, or give the folder images alone"
                )

    def _patients(self, files: list[_File]) -> list[str | None]:
        """The patient of each file, by the first rule that knows it."""
        identities = [file.patient for file in files]
        folders = patient_folders([file.path.relative_to(self.root).parts[:-1] for file in files])
        stems = [file.path.stem for file in files]
        rules = {
            # Folders first: images beside DICOM files may well show the same patient.
            "auto": [identities]
            if all(identities)
            else [folders, identities, distinct_prefixes(stems)],
            "patient": [identities],
            "folder": [folders],
            "prefix": [prefixes(stems)],
            "none": [[None] * len(files)],
        }[self._rule]
        return [next(filter(None, known), None) for known in zip(*rules)]

    def read(self, frame: Frame) -> np.ndarray:
        file, position = split_frame_path(frame.path)
        if position is None:
            return super().read(frame)
        suffix = Path(file).suffix.lower()
        if suffix in _ARRAYS | VIDEO_EXTENSIONS:
            from benchmark.data.formats.video import decode_array, decode_video

            decode = decode_array if suffix in _ARRAYS else decode_video
            return self.read_video_frame(file, position, decode)
        from benchmark.data.formats.dicom.reading import decode_dicom

        return self.read_video_frame(file, position, decode_dicom)


def _read_header(path: Path) -> _File:
    """What the header of a file says; videos have to be decoded for it.

    Raises:
        UnreadableFrame: the file cannot be used, according to its header.
    """
    suffix = path.suffix.lower()
    if suffix in IMAGE_EXTENSIONS:
        return _File(path)
    # Imported here, so that command lines can list the sources without loading numpy.
    if suffix in _ARRAYS:
        from benchmark.data.formats.video import count_frames

        return _File(path, count_frames(path))
    if suffix in VIDEO_EXTENSIONS:
        from benchmark.data.formats.video import count_video_frames

        length = count_video_frames(path)
        return _File(path, length.frames, lost=length.frames < length.stated)
    from benchmark.data.formats.dicom.reading import read_dicom_header

    header = read_dicom_header(path)
    return _File(path, header.frames, header.patient)


def _names(frame: Frame) -> list[str]:
    """What a frame may be called in a split file."""
    return listed_names(frame.path, split_frame_path(frame.path)[0], frame.group)
