"""XA-170K: the pre-training dataset of 171,478 frames from four datasets (Huang et al., 2026).

Hugging Face waha2000huang/XA-170K, one folder of images per dataset, possibly below ``dataset/``;
or the four original downloads, from which it is assembled here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmark.data.frame import Frame
from benchmark.data.sources.cadica import FRAME_NAME, Cadica, SelectionRule, is_cadica
from benchmark.data.sources.coronary_dominance import (
    CoronaryDominance,
    DenoisingStudies,
    StudyFilter,
    study_group,
)
from benchmark.data.sources.corpora.composition import ComposedSource, TrainingXcad, part_folders
from benchmark.data.sources.files import FolderSource, Raw, search_root, walk_images
from benchmark.data.sources.folder import GroupRule
from benchmark.data.sources.syntax import Syntax
from benchmark.data.sources.xcad import Xcad, is_xcad
from benchmark.errors import InputError
from benchmark.type_hints import Natural

PARTS = ("cadica", "syntax", "xcad", "coronary_dominance")

_SPELLINGS = {name.replace("_", ""): name for name in PARTS}

_SLICE = re.compile(r"Study(\d{1,9})_(LCA|RCA)_sequence(\d{1,9})_slice(\d{1,9})", re.IGNORECASE)
# Folders of vesselness masks beside the frames: NAME_frangi or NAME_filter_92.
_MASKS = re.compile(r".*_(?:frangi|filter.*)", re.IGNORECASE | re.DOTALL)
_EXPECTED = "XA-170K (at least one of the folders cadica, syntax, xcad, coronarydominance)"


def _holds_frames(folder: Path) -> bool:
    """Whether a folder holds frames and not vesselness masks."""
    return _MASKS.fullmatch(folder.name) is None


class _CuratedSyntax(Syntax):
    """SYNTAX as it is in the curated download."""

    def enter(self, folder: Path) -> bool:
        return _holds_frames(folder)


class _Curated(FolderSource):
    """CADICA, XCAD or CoronaryDominance as images, as they are in the curated download.

    Groups come from the file names, and equal those of the readers of the originals.
    """

    def __init__(self, folder: Path, name: str, denoising: DenoisingStudies) -> None:
        super().__init__()
        self.name = name
        self.root = folder
        self._denoising = denoising

    def walk(self) -> Iterator[Frame]:
        studies = StudyFilter(self._denoising, self.report)
        seen: set[tuple[str, int]] = set()
        for file in walk_images(self.root, enter=_holds_frames):
            path = self.relative(file)
            frame = self._named(path, file.stem)
            if frame is None:
                self.report.add("no study in the file name", path)
                continue
            if frame.video is not None and frame.frame is not None:
                if (frame.video, frame.frame) in seen:
                    self.report.add("duplicate frame number in a video", path)
                    continue
                seen.add((frame.video, frame.frame))
            if self.name != CoronaryDominance.name:
                yield frame
            elif studies.admits(str(frame.group)):
                yield dataclasses.replace(frame, split=studies.split(str(frame.group)))

    def _named(self, path: str, stem: str) -> Frame | None:
        """The frame according to its file name; None if a required study is not in it."""
        if self.name == Cadica.name and (match := FRAME_NAME.fullmatch(stem)):
            patient, video, number = map(int, match.groups())
            group = f"{self.name}/p{patient}"
            return Frame(self.name, path, group, f"{group}/v{video}", number)
        if self.name == CoronaryDominance.name:
            match = _SLICE.fullmatch(stem)
            if match is None:
                return None
            group = study_group(match[1])
            video = f"{group}/{match[2].upper()}/sequence{int(match[3])}"
            return Frame(self.name, path, group, video, int(match[4]))
        return Frame(self.name, path)


class Xa170k(ComposedSource):
    """Reader of XA-170K.

    Args:
        raw: the curated download or a folder above it; or a folder for each original download,
            ``{"cadica": …, "syntax": …, "xcad": …, "coronary_dominance": …}``, at least one. A
            folder with those four names that hold the originals works as well.
        cadica_rule: which frames of the original CADICA are used; see `Cadica`.
        syntax_group: how the patients of SYNTAX are identified; see `Folder`.
        denoising: what to do with CoronaryDominance's studies reserved for the denoising set; see
            `CoronaryDominance`. With ``only``, the other three parts are not read.
        frames_per_video: number of frames of each original CoronaryDominance video; 0: all.

    Raises:
        InputError: an option would select frames of an already curated part.
    """

    name = "xa170k"
    title = "XA-170K"
    expected = {
        "frames": 171478,
        "cadica": 6594,
        "syntax": 2943,
        "xcad": 1621,
        "coronary_dominance": 160320,
    }

    def __init__(
        self,
        raw: Raw | Mapping[str, Raw],
        *,
        cadica_rule: SelectionRule = "selected_frames",
        syntax_group: GroupRule = "auto",
        denoising: DenoisingStudies = "exclude",
        frames_per_video: Natural = 0,
    ) -> None:
        super().__init__()
        self.options = {
            "cadica_rule": cadica_rule,
            "syntax_group": syntax_group,
            "denoising": denoising,
            "frames_per_video": frames_per_video,
        }
        if denoising == "only":
            self.split_note = CoronaryDominance.only_note
        folders = part_folders(raw, PARTS, _SPELLINGS, _EXPECTED)
        wanted = PARTS if denoising != "only" else (CoronaryDominance.name,)
        self._missing = [name for name in wanted if name not in folders]
        for name in wanted:
            if name in folders:
                original = isinstance(raw, Mapping) or _is_original(name, folders[name])
                self._parts[name] = self._open(name, folders[name], original)
        if not self._parts:
            raise InputError(f"{raw}: denoising=only needs the part {CoronaryDominance.name}")

    def _open(self, name: str, folder: Path, original: bool) -> FolderSource:
        rule, group, denoising, each = self.options.values()
        if name == Syntax.name:
            return (Syntax if original else _CuratedSyntax)(folder, group=group)
        if not original:
            if (name == Cadica.name and rule != "selected_frames") or (
                name == CoronaryDominance.name and each
            ):
                raise InputError(f"{folder}: its frames are already selected; leave the option out")
            return _Curated(folder, name, denoising)
        if name == Cadica.name:
            return Cadica(folder, rule=rule)
        if name == Xcad.name:
            return TrainingXcad(folder)
        return CoronaryDominance(folder, denoising=denoising, frames_per_video=each)

    def split_of(self, frame: Frame) -> str | None:
        # XA-170K has no splits, even if one of its parts does.
        return frame.split if self.options["denoising"] == "only" else None


def _is_original(name: str, folder: Path) -> bool:
    """Whether the folder of a part holds the original download rather than curated images."""
    if name == Cadica.name:
        return search_root(folder, is_cadica) is not None
    if name == Xcad.name:
        return search_root(folder, is_xcad) is not None
    return any(walk_images(folder, {".npz"}))
