"""Coronary stenoses: 8,325 frames with 8,326 boxes (Danilov et al., Sci Rep 2021; Mendeley Data
ydrm75xywg).

The download holds, wherever it is unpacked::

    dataset/14_002_5_0016.bmp    prefix, patient, video, frame
    dataset/14_002_5_0016.xml    boxes in Pascal VOC's format
    train_labels.csv             filename,width,height,class,xmin,ymin,xmax,ymax
    test_labels.csv

The two lists (7,492 and 833 frames) were split by frame: adjacent frames of one video are in both.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.data.formats.annotations import BOX_EDGES, Box
from benchmark.data.formats.list_files import base_name, read_table
from benchmark.data.formats.voc import VOCAnnotation, parse_size, read_voc, upright_boxes
from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.sources.files import (
    FolderSource,
    Raw,
    find_root,
    list_entries,
    list_folders,
    walk_images,
)
from benchmark.data.splits import SPLITS, split_by_patient, split_named

if TYPE_CHECKING:
    import numpy as np

    from benchmark.data.formats.headers import Header

CLASS = "stenosis"
TEST_SHARE = 833 / 8325
"""Published sizes: 7,492 training and 833 test frames."""

_NAME = re.compile(r"\d{1,9}_(\d{1,9})_(\d{1,9})_(\d{1,9})")
_COLUMNS = ("filename", "width", "height", "class", *BOX_EDGES)


@dataclass
class _ListEntry:
    """The rows of a csv list about one frame."""

    split: str
    file: str
    annotation: VOCAnnotation = field(default_factory=VOCAnnotation)


def _is_frame(path: Path) -> bool:
    return path.suffix.lower() == ".bmp" and _NAME.fullmatch(path.stem) is not None


def _is_list(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and split_named(path.stem) is not None


def is_stenosis(folder: Path) -> bool:
    """Whether a folder holds frames or lists of the dataset, or a folder of frames."""
    entries = list_entries(folder)
    if any(_is_list(entry) or _is_frame(entry) for entry in entries):
        return True
    return any(_is_frame(e) for f in list_folders(folder) for e in list_entries(f))


class DanilovStenosis(FolderSource):
    """Reader of the stenosis dataset.

    Boxes come from the XML files, or from the lists if the XML of a frame is missing. Whether the
    coordinates count from 0 or 1 and include the last pixel is not documented; they are taken as
    edges x0, y0, x1, y1 in pixels, which is wrong by one pixel at most. Boxes are clipped to the
    image; if the files claim another image size, a box that would need clipping is unusable. The
    list also replaces an XML without a usable box. A frame whose objects are all unusable is
    unreadable; one without objects shows no stenosis.

    Args:
        raw: the unpacked folder, ``dataset/`` in it, or a folder above.
        split: ``official``: the two lists as published; ``patient``: the patients with 833/8325 of
            the frames are ``test``, so that no patient is in both splits.
        seed: seed of the split by patient.

    Raises:
        InputError: from `frames`: a list is too large or is not text.
    """

    name = "stenosis"
    expected = {"frames": 8325, "boxes": 8326}
    forms = ("detection", "pack")
    pack_splits = ("train",)
    classes = (CLASS,)

    def __init__(
        self, raw: Raw, *, split: Literal["official", "patient"] = "official", seed: int = 0
    ) -> None:
        super().__init__()
        self.options["split"] = self._rule = split
        self._seed = seed
        if raw is not None and _lists_are_above(folder := Path(os.path.abspath(raw))):
            raw = folder.parent
        self.root = find_root(raw, is_stenosis, "the stenosis dataset (14_002_5_0016.bmp, …)")
        # A frame in two lists belongs to the first: train before test.
        self._csvs = sorted(
            walk_images(self.root, {".csv"}),
            key=lambda path: (*SPLITS, None).index(split_named(path.stem)),
        )
        listed_splits = {split_named(path.stem) for path in self._csvs}
        if split == "patient":
            self.options["seed"] = seed
            self.split_note = (
                f"by patient, 833/8325 of the frames are test, seed {seed}; not the authors' split"
            )
        elif {"train", "test"} <= listed_splits:
            self.official_split = True
            self.split_note = (
                "the authors' lists, split by frame: adjacent frames of one video are in both"
            )
        else:
            self.split_note = "train_labels.csv or test_labels.csv is missing"

    def walk(self) -> Iterator[Frame]:
        self._entries = self._read_lists()
        if self._rule == "patient":
            frames = list(self._labelled_frames())
            yield from split_by_patient(frames, TEST_SHARE, self._seed, self.report)
            return
        if not self._entries:
            self.report.add("no split list", "train_labels.csv")
        yield from self._labelled_frames()

    @functools.cached_property
    def _entries(self) -> dict[str, _ListEntry]:
        """What the lists say of each frame, by its name in lower case without the extension."""
        return self._read_lists()

    def _labelled_frames(self) -> Iterator[Frame]:
        annotations = self._by_stem({".xml"})
        images = self._by_stem({".bmp"})
        for stem, path in annotations.items():
            if stem not in images:
                self.report.add("annotation without an image", self.relative(path))
        for stem, entry in self._entries.items():
            if stem not in images:
                self.report.add("listed image missing", f"{entry.file}: {stem}")
        for stem, path in images.items():
            where, entry = self.relative(path), self._entries.get(stem)
            annotation = self._annotation(where, annotations.get(stem), entry)
            if annotation is None:
                self.report.add("image without an annotation", where)
                continue
            if entry is None and self._entries:
                self.report.add("frame not in any split list", where)
            patient, video, number = map(int, _NAME.fullmatch(path.stem).groups())
            group, split = f"{self.name}/{patient:03d}", entry.split if entry else None
            yield Frame(self.name, where, group, f"{group}/{video}", number, split, annotation)

    def _by_stem(self, extensions: set[str]) -> dict[str, Path]:
        """Files of these types by their name in lower case without the extension."""
        named = []
        for path in walk_images(self.root, extensions):
            if _NAME.fullmatch(path.stem):
                named.append(path)
            else:
                self.report.add("file name is not patient, video and frame", self.relative(path))
        return self.by_key(named, lambda path: path.stem.casefold())

    def _annotation(self, image: str, xml: Path | None, entry: _ListEntry | None) -> str | None:
        """Where the boxes of an image are, after reporting everything unusual about them."""
        from benchmark.data.formats.headers import read_header

        header = read_header(self.root / image)
        annotation, found = None, None
        if xml is not None:
            try:
                annotation, found = read_voc(xml), self.relative(xml)
            except UnreadableFrame as error:
                self.report.add(str(error), self.relative(xml))
        if annotation is not None and entry is not None:
            listed = entry.annotation
            if sorted(annotation.boxes) != sorted(listed.boxes):
                self.report.add("list and annotation disagree", image)
                if header and _usable(listed, header)[0] and not _usable(annotation, header)[0]:
                    annotation = None
        if annotation is None and entry is not None:
            self.report.add("boxes taken from the list", image)
            annotation, found = entry.annotation, f"{entry.file}#{Path(image).stem}"
        if annotation is not None:
            self._report_oddities(image, annotation, header)
        return found

    def _report_oddities(
        self, image: str, annotation: VOCAnnotation, header: Header | None
    ) -> None:
        if annotation.empty:
            self.report.add("no object in the annotation", image)
        size = annotation.size
        if header is not None and size not in (None, header.annotated_size(size)):
            self.report.add("listed size differs from the image", image)
        for note in _usable(annotation, header)[1] if header else annotation.errors:
            self.report.add(note, image)

    def _read_lists(self) -> dict[str, _ListEntry]:
        found: dict[str, _ListEntry] = {}
        for path in self._csvs:
            where, split = self.relative(path), split_named(path.stem)
            rows = read_table(path, _COLUMNS)
            if rows is None or split is None:
                self.report.add("not a list of train or test", where)
                continue
            for number, row in enumerate(rows, start=1):
                here = f"{where}: row {number}"
                name = base_name(row[0], f"{path}: row {number}") if row else None
                if row is None:
                    self.report.add("damaged row", here)
                elif name is None:
                    self.report.add("file name points outside the folder", here)
                else:
                    entry = found.setdefault(Path(name).stem.casefold(), _ListEntry(split, where))
                    if entry.file != where:
                        self.report.add("frame in two lists", here)
                    else:
                        _, width, height, label, *edges = row
                        entry.annotation.add(label, edges)
                        entry.annotation.size = parse_size(height, width)
        return found

    def read_boxes(self, frame: Frame) -> np.ndarray:
        """Boxes inside the upright image, float64, N×5. Raises `UnreadableFrame`."""
        if frame.annotation.lower().endswith(".xml"):
            annotation = read_voc(self.root / frame.annotation)
        else:
            annotation = self._entries[Path(frame.path).stem.casefold()].annotation
        return upright_boxes(annotation, self.header(frame), (CLASS,))


def _lists_are_above(folder: Path) -> bool:
    """Whether this is a folder of frames whose lists are in the folder above."""
    inside = list_entries(folder) if folder.is_dir() else []
    if any(map(_is_list, inside)) or not any(map(_is_frame, inside)):
        return False
    return any(map(_is_list, list_entries(folder.parent)))


def _usable(annotation: VOCAnnotation, header: Header) -> tuple[list[tuple[int, Box]], list[str]]:
    """`VOCAnnotation.usable` on the image that was annotated."""
    return annotation.usable(header.annotated_size(annotation.size), (CLASS,))
