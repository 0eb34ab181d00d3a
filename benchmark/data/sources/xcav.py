"""XCAV: coronary videos with a few annotated frames each (called XACV in Wu et al., DeNVeR,
CVPR 2025; https://github.com/kirito878/DeNVeR).

The download has a folder for each patient::

    CVAI-1253/images/CVAI-1253LAO0_CAU29/00000.png             the complete video
    CVAI-1253/ground_truth/CVAI-1253LAO0_CAU29/00042.png       masks, usually of two frames
    CVAI-1253/ground_truth/CVAI-1253LAO0_CAU29CATH/00042.png   masks of the catheter

Only annotated frames are read. The masks in ``…CATH`` are of the catheter and are not vessels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.frame import Frame
from benchmark.data.sources.files import (
    FolderSource,
    Raw,
    find_entry,
    find_folder,
    find_root,
    list_folders,
    walk_images,
)
from benchmark.data.splits import read_split_list, split_by_list, split_by_patient
from benchmark.files import sha256_json

if TYPE_CHECKING:
    import numpy as np

TEST_SHARE = 46 / 221
"""Published sizes: 175 training and 46 test frames; which ones is not published."""

_PATIENT = re.compile(r"CVAI-?(\d{1,9})", re.IGNORECASE)
_VIDEO_NAME = re.compile(_PATIENT.pattern + r"(?!\d)", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,9}")
_CATHETER = "cath"


def is_xcav(folder: Path) -> bool:
    """Whether a folder holds a patient of the dataset."""
    patients = (entry for entry in list_folders(folder) if _PATIENT.fullmatch(entry.name))
    return any(find_entry(patient, "ground_truth") for patient in patients)


def _names(frame: Frame) -> tuple[str, ...]:
    """What a frame may be called in a split file."""
    group, video = str(frame.group).split("/")[1], str(frame.video).split("/")[2]
    path = Path(frame.path)
    return frame.path, f"{video}/{path.stem}", f"{video}/{path.name}", video, group


class Xcav(FolderSource):
    """Reader of XCAV.

    A mask whose size differs from its image is resized by nearest neighbour, and counted.

    Args:
        raw: the folder with the ``CVAI-…`` folders in it, or one above.
        seed: seed of the split: patients with 46/221 of the frames are ``test``.
        split_file: a list of your own instead (see `benchmark.data.splits.read_split_file`); its
            names are patients (``CVAI-1253``), videos (``CVAI-1253LAO0_CAU29``), or frames
            (``CVAI-1253LAO0_CAU29/00042``). Frames it does not name have no split.
    """

    name = "xcav"
    expected = {"frames": 221}
    forms = ("segmentation", "pack")
    pack_splits = ("train",)
    classes = ("vessel",)

    def __init__(self, raw: Raw, *, seed: int = 0, split_file: str = "") -> None:
        super().__init__()
        self.root = find_root(raw, is_xcav, "XCAV (a folder with CVAI-…/ground_truth in it)")
        self._seed = seed
        self._split_list: dict[str, str] = {}
        if split_file:
            self._split_list = read_split_list(split_file)
            # The list by its content: its path does not identify it.
            self.options["split_list"] = sha256_json(self._split_list)
            self.split_note = f"a user-defined list, {Path(split_file).name}; not the paper's"
        else:
            self.options["seed"] = seed
            self.split_note = (
                f"by patient, 46/221 of the frames are test, seed {seed}; not the paper's, whose "
                "list is not published"
            )

    def walk(self) -> Iterator[Frame]:
        frames = [frame for entry in list_folders(self.root) for frame in self._patient(entry)]
        if self._split_list:
            yield from split_by_list(frames, self._split_list, _names, self.report)
        else:
            yield from split_by_patient(frames, TEST_SHARE, self._seed, self.report)

    def _patient(self, patient: Path) -> Iterator[Frame]:
        match = _PATIENT.fullmatch(patient.name)
        if match is None:
            self.report.add("folder is not a patient", self.relative(patient))
            return
        truth = find_folder(patient, "ground_truth")
        if truth is None:
            self.report.add("patient without ground truth", self.relative(patient))
            return
        videos = {entry.name.casefold(): entry for entry in list_folders(truth)}
        for name, folder in videos.items():
            if name.endswith(_CATHETER):
                if name.removesuffix(_CATHETER) not in videos:
                    self.report.add("catheter masks without vessel masks", self.relative(folder))
                continue
            owner = _VIDEO_NAME.match(name)
            if owner is None or owner[1] != match[1]:
                self.report.add("video does not fit its patient", self.relative(folder))
            else:
                video = find_folder(patient, f"images/{folder.name}")
                group = f"{self.name}/CVAI-{match[1]}"
                yield from self._video(folder, video, group, f"{group}/{folder.name.upper()}")

    def _video(self, truth: Path, video: Path | None, group: str, video_id: str) -> Iterator[Frame]:
        paths = walk_images(video, nested=False) if video else ()
        images = self.by_key(paths, lambda path: path.stem.casefold())
        numbers: set[int] = set()
        for mask in walk_images(truth, nested=False):
            where = self.relative(mask)
            if not _NUMBER.fullmatch(mask.stem):
                self.report.add("file name is not a frame number", where)
            elif mask.stem.casefold() not in images:
                self.report.add("mask without an image", where)
            elif int(mask.stem) in numbers:
                self.report.add("duplicate frame number in a video", where)
            else:
                number = int(mask.stem)
                numbers.add(number)
                image = images[mask.stem.casefold()]
                self._note_size(image, mask)
                path = self.relative(image)
                yield Frame(self.name, path, group, video_id, number, annotation=where)

    def _note_size(self, image: Path, mask: Path) -> None:
        from benchmark.data.formats.headers import image_size, read_header

        header, size = read_header(image), image_size(mask)
        if header and size and header.annotated_size(size) != size:
            self.report.add("mask size differs, resized", self.relative(mask))

    def read_masks(self, frame: Frame) -> np.ndarray:
        """Vessel mask at the size of the image, bool, 1×H×W. Raises `UnreadableFrame`."""
        from benchmark.data.formats.polygons import resize_nearest

        mask = super().read_masks(frame)
        return resize_nearest(mask, self.header(frame).size)
