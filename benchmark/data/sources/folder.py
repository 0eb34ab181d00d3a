"""Any folder of angiograms: pictures, npy and npz videos, XA DICOM files, at any depth."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmark.data.formats.list_files import nfc
from benchmark.data.frame import Frame, SkipReport, UnreadableFrame
from benchmark.data.sources.files import (
    IMAGE_EXTENSIONS,
    FolderSource,
    absence_hint,
    frame_path,
    given_folder,
    is_dicom,
    split_frame_path,
    walk_files,
)
from benchmark.errors import InputError, one_of

if TYPE_CHECKING:
    import numpy as np

RULES = ("auto", "patient", "folder", "prefix", "none")

_ARRAYS = frozenset({".npy", ".npz"})
_DICOM = frozenset({".dcm", ".dicom", ".ima"})
# Exported DICOM files are often named by a UID (1.2.840.113619), whose end only looks like an
# extension, or by nothing at all (IM000001).
_NO_EXTENSION = re.compile(r"(\.\d+)?")
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PREFIX = re.compile(r"[_\-\s]")
_WHAT = "a folder with pictures (png, jpg, bmp, tif), arrays (npy, npz) or DICOM files in it"


_Rule = Callable[[Path, "str | None"], "str | None"]


class _Found(NamedTuple):
    """A usable file, the number of its frames (None: a picture) and its patient, where it says."""

    file: Path
    frames: int | None
    patient: str | None


def _has_digit(text: str) -> bool:
    return any(character.isdecimal() for character in text)


def _may_be_dicom(path: Path) -> bool:
    try:
        return is_dicom(path)
    except (PermissionError, FileNotFoundError):
        # Then reading the header says why the file is left out.
        return True


class Folder(FolderSource):
    """Reader of any folder.

    A file without an extension is taken as DICOM if it begins like one; files of other kinds are
    passed over. DICOM files of other modalities than XA are counted as left out.

    Args:
        raw: the folder.
        group: how the patient of a file is told. ``patient``: by DICOM's PatientID (as a hash);
            ``folder``: by the first level of folders of which at least two differ and have a digit
            in their name; ``prefix``: by the file name up to the first ``_``, ``-`` or space;
            ``none``: not at all; ``auto``: by PatientID if every file has one; otherwise by folder,
            PatientID or prefix, whichever of them tells something first, and a prefix only if it
            contains a digit and is not the same for all files. Files whose patient cannot be told
            are used all the same, but counted in the report.
        name: name of the source in indices: lower-case letters, digits, ``_`` and ``-``.

    Raises:
        InputError: the folder is missing or holds no picture, an unknown rule, or a bad name.
    """

    name = "folder"

    def __init__(
        self, raw: str | os.PathLike[str] | None, *, group: str = "auto", name: str = "folder"
    ) -> None:
        super().__init__()
        self._rule = one_of("group rule", group, RULES)
        if not _SLUG.fullmatch(name):
            raise InputError(
                f"option name={name}: use lower-case letters, digits, _ and -, at most 64"
            )
        self.name = name
        self.options = {"group": group, "name": name}
        self.root = given_folder(raw, _WHAT)
        if next(self._files(), None) is None:
            raise InputError(f"{self.root}: this is not {_WHAT}{absence_hint(self.root)}")

    def enter(self, folder: Path) -> bool:
        """Whether a sub-folder is walked."""
        return True

    def _files(self) -> Iterator[Path]:
        known = IMAGE_EXTENSIONS | _ARRAYS | _DICOM

        def wanted(path: Path) -> bool:
            suffix = path.suffix.lower()
            named = suffix in known or _NO_EXTENSION.fullmatch(suffix) is not None
            # A DICOMDIR lists files; it is DICOM, but it is no picture.
            return named and path.name.casefold() != "dicomdir"

        for path in walk_files(self.root, wanted, enter=self.enter):
            if path.suffix.lower() in known or _may_be_dicom(path):
                yield path

    def frames(self) -> Iterator[Frame]:
        self.report = SkipReport()
        found: list[_Found] = []
        for file in self._files():
            try:
                found.append(_Found(file, *_header(file)))
            except UnreadableFrame as error:
                self.report.add(str(error), self.relative(file))
        rules = self._rules(found)
        for file, count, patient in found:
            path = self.relative(file)
            token = next((told for rule in rules if (told := rule(file, patient))), None)
            if token is None and rules:
                self.report.add("no patient could be told", path)
            group = None if token is None else f"{self.name}/{nfc(token)}"
            if count is None:
                yield Frame(self.name, path, group)
                continue
            video = f"{self.name}/{path}"
            for position in range(count):
                yield Frame(self.name, frame_path(path, position), group, video, position)

    def _rules(self, found: list[_Found]) -> tuple[_Rule, ...]:
        """How the patient of a file is told: the first rule that gives something."""
        folders = [file.relative_to(self.root).parts[:-1] for file, _, _ in found]
        level = _patient_level(folders)

        def by_patient(file: Path, patient: str | None) -> str | None:
            return patient

        def by_folder(file: Path, patient: str | None) -> str | None:
            names = file.relative_to(self.root).parts[:-1]
            known = level is not None and level < len(names) and _has_digit(names[level])
            return names[level] if known else None

        def by_prefix(file: Path, patient: str | None) -> str | None:
            return _PREFIX.split(file.stem, maxsplit=1)[0] or None

        prefixes = {by_prefix(file, None) for file, _, _ in found}

        def by_telling_prefix(file: Path, patient: str | None) -> str | None:
            prefix = by_prefix(file, None)
            telling = prefix and prefix != file.stem and _has_digit(prefix) and len(prefixes) > 1
            return prefix if telling else None

        if self._rule == "auto" and found and all(patient for _, _, patient in found):
            return (by_patient,)
        return {
            # Folders come first here: pictures beside DICOM files may well show the same patient.
            "auto": (by_folder, by_patient, by_telling_prefix),
            "patient": (by_patient,),
            "folder": (by_folder,),
            "prefix": (by_prefix,),
            "none": (),
        }[self._rule]

    def read(self, frame: Frame) -> np.ndarray:
        """Grey pixels, uint8, H×W. Raises `UnreadableFrame`."""
        file, position = split_frame_path(frame.path)
        if position is None:
            return super().read(frame)
        if Path(file).suffix.lower() in _ARRAYS:
            from benchmark.data.formats.video import decode_array

            return self.read_position(file, position, decode_array)
        from benchmark.data.formats.dicom.reading import decode_dicom

        return self.read_position(file, position, decode_dicom)


def _header(file: Path) -> tuple[int | None, str | None]:
    """Number of frames, None for a picture, and the patient, None where the file is silent.

    Raises:
        UnreadableFrame: the header says that the file cannot be used.
    """
    suffix = file.suffix.lower()
    if suffix in IMAGE_EXTENSIONS:
        return None, None
    # Imported here, so that command lines can list the sources without loading numpy.
    if suffix in _ARRAYS:
        from benchmark.data.formats.video import count_frames

        return count_frames(file), None
    from benchmark.data.formats.dicom.reading import read_dicom_header

    header = read_dicom_header(file)
    return header.frames, header.patient


def _patient_level(folders: list[tuple[str, ...]]) -> int | None:
    """The first level of folders with two different names that contain a digit."""
    names: dict[int, set[str]] = {}
    for parts in folders:
        for level, name in enumerate(parts):
            if _has_digit(name):
                names.setdefault(level, set()).add(name)
    return next((level for level in sorted(names) if len(names[level]) > 1), None)
