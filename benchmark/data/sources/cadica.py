"""CADICA: 42 patients, angiographic videos as PNG frames (Jiménez-Partinen et al., 2024).

Mendeley Data p9bpx9ctcv. The download is a zip inside a zip; unpacked it is::

    CADICA/selectedVideos/pX/{lesionVideos,nonlesionVideos}.txt
    CADICA/selectedVideos/pX/vY/pX_vY_selectedFrames.txt
    CADICA/selectedVideos/pX/vY/input/pX_vY_000ZZ.png
    CADICA/nonselectedVideos/pX/vY/input/pX_vY_000ZZ.png

The boxes in ``groundtruth/`` (in any spelling) are not read: CADICA is used for pre-training.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from benchmark.data.frame import Frame
from benchmark.data.sources.files import (
    FolderSource,
    Raw,
    find_entry,
    find_folder,
    find_root,
    list_entries,
    list_folders,
    walk_images,
)
from benchmark.errors import InputError
from benchmark.files.contents import pointer_reason

SelectionRule = Literal["selected_frames", "selected_videos", "all"]

FRAME_NAME = re.compile(r"p(\d{1,9})_v(\d{1,9})_(\d{1,9})", re.IGNORECASE)
"""Name of a frame without its extension: patient, video, number."""

_PATIENT = re.compile(r"p(\d{1,9})", re.IGNORECASE)
_VIDEO = re.compile(r"v(\d{1,9})", re.IGNORECASE)
_MAX_LIST_BYTES = 1 << 20


def is_cadica(folder: Path) -> bool:
    """Whether this is the root of the download."""
    return find_folder(folder, "selectedVideos") is not None


class Cadica(FolderSource):
    """Reader of CADICA.

    Args:
        raw: ``CADICA/``, a folder above it, or ``selectedVideos/`` itself.
        rule: which frames are used. ``selected_frames``: those named in the selectedFrames lists
            (the published pre-training set has 6,594 frames by an unpublished rule; this is the
            most natural one); ``selected_videos``: every frame of the selected videos (18,154);
            ``all``: the other videos as well (31,500).

    Raises:
        InputError: from `frames`: a list was not downloaded.
    """

    name = "cadica"
    expected = {"frames": 6594}

    def __init__(self, raw: Raw, *, rule: SelectionRule = "selected_frames") -> None:
        super().__init__()
        self.options["rule"] = self._rule = rule
        expected = "CADICA (a folder with selectedVideos in it)"
        self.root = find_root(raw, is_cadica, expected, inside={"selectedvideos"})
        names = ["selectedVideos"] + (["nonselectedVideos"] if rule == "all" else [])
        self._video_folders = [find_folder(self.root, name) for name in names]
        if None in self._video_folders:
            raise InputError(f"{self.root}: rule=all needs nonselectedVideos, which is not there")

    def walk(self) -> Iterator[Frame]:
        for patient in itertools.chain.from_iterable(map(list_folders, self._video_folders)):
            if _PATIENT.fullmatch(patient.name):
                yield from self._patient(patient)
            else:
                self.report.add("folder is not a patient", self.relative(patient))

    def _patient(self, patient: Path) -> Iterator[Frame]:
        videos = {}
        for entry in list_folders(patient):
            if _VIDEO.fullmatch(entry.name):
                videos[entry.name.casefold()] = entry
            else:
                self.report.add("folder is not a video", self.relative(entry))
        for name in ("lesionVideos.txt", "nonlesionVideos.txt"):
            listing = find_entry(patient, name)
            for word in self._read_words(listing) if listing else []:
                if word.casefold() not in videos:
                    self.report.add("listed video missing", f"{self.relative(patient)}/{word}")
        for video in videos.values():
            yield from self._video(patient, video)

    def _read_words(self, path: Path) -> list[str]:
        """Words of a list file, which has CRLF line ends, blank lines, trailing spaces."""
        if reason := pointer_reason(path):
            raise InputError(f"{path}: {reason}")
        if not path.is_file():
            return []
        with path.open("rb") as stream:
            content = stream.read(_MAX_LIST_BYTES)
            if stream.read(1):
                self.report.add("list too long, truncated", self.relative(path))
        return content.decode("utf-8-sig", errors="replace").split()

    def _video(self, patient: Path, video: Path) -> Iterator[Frame]:
        folder = find_folder(video, "input")
        if folder is None:
            self.report.add("video without an input folder", self.relative(video))
            return
        group = f"{self.name}/p{int(patient.name[1:])}"
        video_id = f"{group}/v{int(video.name[1:])}"
        frames: dict[int, Frame] = {}
        for path in walk_images(folder, {".png"}, nested=False):
            match = FRAME_NAME.fullmatch(path.stem)
            if match is None or f"{self.name}/p{int(match[1])}/v{int(match[2])}" != video_id:
                self.report.add("file name does not fit its folder", self.relative(path))
                continue
            number = int(match[3])
            if number in frames:
                self.report.add("duplicate frame number in a video", self.relative(path))
                continue
            frames[number] = Frame(self.name, self.relative(path), group, video_id, number)
        wanted = self._selected(video, frames) if self._rule == "selected_frames" else frames
        yield from (frames[number] for number in sorted(wanted))

    def _selected(self, video: Path, frames: dict[int, Frame]) -> set[int]:
        """Numbers of the frames that the list of this video names and that exist."""
        suffix = "_selectedframes.txt"
        lists = [e for e in list_entries(video) if e.name.casefold().endswith(suffix)]
        if not lists:
            self.report.add("video without a selectedFrames list", self.relative(video))
            return set()
        words = [word for listing in lists for word in self._read_words(listing)]
        if not words:
            self.report.add("empty selectedFrames list", self.relative(video))
        ids = int(video.parent.name[1:]), int(video.name[1:])
        numbers: set[int] = set()
        for word in words:
            match = FRAME_NAME.fullmatch(word.casefold().removesuffix(".png"))
            if match is None or (int(match[1]), int(match[2])) != ids:
                self.report.add("list entry does not fit its video", f"{lists[0].name}: {word}")
            elif int(match[3]) not in frames:
                self.report.add("listed frame missing", f"{self.relative(video)}/input/{word}.png")
            else:
                numbers.add(int(match[3]))
        return numbers
