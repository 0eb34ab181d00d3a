"""CoronaryDominance: angiographic videos of 1,574 studies as npz (Kruzhilov et al., 2025).

Hugging Face BearSubj13/CoronaryDominance. The four ``.7z`` archives unpacked side by side hold::

    [category]/Left_Dominance/Study01234_<id>/LCA/<series>.npz
    [category]/Right_Dominance/Study01234_<id>/RCA/<series>.npz

An npz is one video: ``pixel_array``, frames×512×512, 0–255. Its other members, some of which are
pickled, are never read. A study is treated as a patient; patients are not published.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.data.denoising import reserved_split
from benchmark.data.formats.list_files import name_key
from benchmark.data.frame import Frame, SkipReport, UnreadableFrame
from benchmark.data.sources.files import (
    FolderSource,
    Raw,
    frame_path,
    missing_data_hint,
    require_folder,
    split_frame_path,
    walk_images,
)
from benchmark.errors import InputError
from benchmark.type_hints import Natural

if TYPE_CHECKING:
    import numpy as np

DenoisingStudies = Literal["exclude", "keep", "only"]

_STUDY = re.compile(r"Study[\s_-]*(\d{1,9})(?:\D.*)?", re.IGNORECASE | re.DOTALL)
_ARTERIES = ("LCA", "RCA")
_EXPECTED = "CoronaryDominance (folders Study…/LCA/*.npz, Study…/RCA/*.npz)"


class StudyFilter:
    """Which studies are used, given that some are reserved for the denoising set.

    Args:
        mode: ``exclude``: those not reserved; ``keep``: all; ``only``: the reserved ones.
        report: counts each study excluded, once.
    """

    def __init__(self, mode: DenoisingStudies, report: SkipReport) -> None:
        self._mode = mode
        self._report = report
        self._excluded: set[str] = set()

    def admits(self, group: str) -> bool:
        """Whether frames of the study `group` are used."""
        if self._mode == "keep":
            return True
        reserved = reserved_split(group) is not None
        if self._mode == "exclude" and reserved and group not in self._excluded:
            self._excluded.add(group)
            self._report.set_aside["study reserved for the denoising set"] += 1
        return reserved == (self._mode == "only")

    def split(self, group: str) -> str | None:
        """Split of the denoising set under ``only``; otherwise there are no splits."""
        return reserved_split(group) if self._mode == "only" else None


def study_group(number: str) -> str:
    """Group of a study by the digits of its name, the same in every distribution."""
    return f"{CoronaryDominance.name}/Study{int(number)}"


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """`wanted` of the positions 0…`count` - 1, evenly spaced; all if `wanted` is 0."""
    if wanted == 0 or wanted >= count:
        return list(range(count))
    return [(2 * place + 1) * count // (2 * wanted) for place in range(wanted)]


class CoronaryDominance(FolderSource):
    """Reader of CoronaryDominance.

    Args:
        raw: folder that holds the unpacked archives, or any folder below it that holds studies.
        denoising: what to do with the studies of the denoising set: ``exclude`` them, ``keep``
            them, or read ``only`` them (their frames then have the splits of that set).
        frames_per_video: number of frames of each video, evenly spaced; 0: all. The published
            pre-training set has 160,320 frames, by an unpublished rule.

    Raises:
        InputError: the folder holds no study of the dataset.
    """

    name = "coronary_dominance"
    expected = {"frames": 160320, "studies": 1574}
    forms = ("pack", "denoising")
    only_note = "by study: the splits of the denoising set"

    def __init__(
        self,
        raw: Raw,
        *,
        denoising: DenoisingStudies = "exclude",
        frames_per_video: Natural = 0,
    ) -> None:
        super().__init__()
        self._denoising = denoising
        self._frames_per_video = frames_per_video
        self.options = {"denoising": denoising, "frames_per_video": frames_per_video}
        if denoising == "only":
            self.split_note = self.only_note
        self.root = require_folder(raw, _EXPECTED)
        if not any(self._place(file) for file in self._files()):
            raise InputError(
                f"{self.root}: this does not look like {_EXPECTED}{missing_data_hint(self.root)}"
            )

    def _files(self) -> Iterator[Path]:
        return walk_images(self.root, {".npz"})

    def _place(self, file: Path) -> tuple[str, str, str] | None:
        """Digits of the study, artery and series of a file; None if its folders do not say."""
        folders = file.relative_to(self.root).parts[-3:-1]
        if len(folders) < 2:
            return None
        study, artery = _STUDY.fullmatch(folders[0]), folders[1].upper()
        return (study[1], artery, file.stem) if study and artery in _ARTERIES else None

    def walk(self) -> Iterator[Frame]:
        studies = StudyFilter(self._denoising, self.report)
        seen: set[str] = set()
        for file in self._files():
            path = self.relative(file)
            place = self._place(file)
            if place is None:
                self.report.add("file outside the LCA or RCA folder of a study", path)
                continue
            number, artery, series = place
            group = study_group(number)
            video = f"{group}/{artery}/{series}"
            if not studies.admits(group):
                continue
            if name_key(video) in seen:
                self.report.add("duplicate series", path)
                continue
            seen.add(name_key(video))
            yield from self._video(file, group, video, studies.split(group))

    def _video(self, file: Path, group: str, video: str, split: str | None) -> Iterator[Frame]:
        # Imported here, so that command lines can list the sources without loading numpy.
        from benchmark.data.formats.video import count_frames

        path = self.relative(file)
        try:
            count = count_frames(file)
        except UnreadableFrame as error:
            self.report.add(str(error), path)
            return
        for position in evenly_spaced(count, self._frames_per_video):
            yield Frame(self.name, frame_path(path, position), group, video, position, split)

    def read(self, frame: Frame) -> np.ndarray:
        from benchmark.data.formats.video import decode_array

        file, position = split_frame_path(frame.path)
        return self.read_video_frame(file, position or 0, decode_array)
