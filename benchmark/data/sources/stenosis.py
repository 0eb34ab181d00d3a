"""Coronary stenoses: 8,325 frames with 8,326 boxes (Danilov et al., Sci Rep 2021; Mendeley Data
ydrm75xywg).

The download holds, wherever it is unpacked::

    dataset/14_002_5_0016.bmp    prefix, patient, video, frame
    dataset/14_002_5_0016.xml    boxes in Pascal VOC's format
    train_labels.csv             filename,width,height,class,xmin,ymin,xmax,ymax
    test_labels.csv

The two lists (7,492 and 833 frames) were drawn by frame: neighbours of one video are on both sides.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.formats.annotations import EDGES, Box
from benchmark.data.formats.list_files import plain_name, read_table
from benchmark.data.formats.voc import VOCAnnotation, add_object, parse_size, read_voc
from benchmark.data.frame import Frame, SkipReport, UnreadableFrame
from benchmark.data.sources.files import FolderSource, find_root, list_visible, walk_images
from benchmark.data.splits import SPLITS, split_by_patient, split_named
from benchmark.errors import one_of

if TYPE_CHECKING:
    import numpy as np

    from benchmark.data.formats.headers import Header

SPLIT_RULES = ("official", "patient")
CLASS = "stenosis"
TEST_SHARE = 833 / 8325
"""Published sizes: 7,492 frames to train on, 833 to test on."""

_NAME = re.compile(r"\d{1,9}_(\d{1,9})_(\d{1,9})_(\d{1,9})")
_COLUMNS = ("filename", "width", "height", "class", *EDGES)


@dataclass
class _Rows:
    """What the csv lists say of one frame."""

    split: str
    source: str
    listed: VOCAnnotation = field(default_factory=lambda: VOCAnnotation(None, [], []))


def _is_frame(path: Path) -> bool:
    return path.suffix.lower() == ".bmp" and _NAME.fullmatch(path.stem) is not None


def _is_list(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and split_named(path.stem) is not None


def _is_root(folder: Path) -> bool:
    entries = list_visible(folder)
    if any(_is_list(entry) or _is_frame(entry) for entry in entries):
        return True
    return any(_is_frame(e) for f in entries if f.is_dir() for e in list_visible(f))


class DanilovStenosis(FolderSource):
    """Reader of the stenosis dataset.

    Boxes come from the XML files, and from the lists for a frame whose XML is missing. Whether the
    coordinates count from 0 or 1 and include the last pixel is not documented; they are taken as
    they are, as edges x0, y0, x1, y1 in pixels, which is wrong by one pixel at most. Boxes are cut
    off at the picture's real edge; where the files claim another size, one that would have to be is
    unusable. The list is also taken where it has a usable box and the XML has none. A frame with
    objects of which none can be used is unreadable; one without objects shows no stenosis.

    Args:
        raw: the unpacked folder, ``dataset/`` in it, or a folder above.
        split: ``official``: the two lists as they are; ``patient``: whole patients, who hold
            833/8325 of the frames, are ``test``, so that no patient is on both sides.
        seed: of the split by patient.

    Raises:
        InputError: the folder is missing or is not this dataset, or the rule is unknown. From
            `frames`: a list is too large or is not text.
    """

    name = "stenosis"
    expected = {"frames": 8325, "boxes": 8326}
    forms = ("detection", "pack")
    pack_splits = ("train",)
    classes = (CLASS,)

    def __init__(
        self, raw: str | os.PathLike[str] | None, *, split: str = "official", seed: int = 0
    ) -> None:
        super().__init__()
        self.options["split"] = self._rule = one_of("split", split, SPLIT_RULES)
        self._seed = seed
        if raw is not None and any(map(_is_list, _siblings(raw))):
            raw = os.path.dirname(os.path.abspath(raw))
        self.root = find_root(raw, _is_root, "the stenosis dataset (14_002_5_0016.bmp, …)")
        # A frame in two lists belongs to the first: train before test.
        self._csvs = sorted(
            walk_images(self.root, {".csv"}),
            key=lambda path: (*SPLITS, None).index(split_named(path.stem)),
        )
        self._rows: dict[str, _Rows] | None = None
        listed = {split_named(path.stem) for path in self._csvs}
        if split == "patient":
            self.options["seed"] = seed
            self.split_note = (
                f"by patient, 833/8325 of the frames are test, seed {seed}; not the authors' split"
            )
        elif {"train", "test"} <= listed:
            self.official_split = True
            self.split_note = (
                "the authors' lists, drawn by frame: neighbours of one video are on both sides"
            )
        else:
            self.split_note = "train_labels.csv and test_labels.csv are not both there"

    def frames(self) -> Iterator[Frame]:
        self.report = SkipReport()
        self._rows = self._read_lists()
        if self._rule == "patient":
            frames = list(self._labelled_frames())
            yield from split_by_patient(frames, TEST_SHARE, self._seed, self.report)
            return
        if not self._rows:
            self.report.add("no split list", "train_labels.csv")
        yield from self._labelled_frames()

    def _labelled_frames(self) -> Iterator[Frame]:
        annotations = self._by_stem({".xml"})
        images = self._by_stem({".bmp"})
        for stem, path in annotations.items():
            if stem not in images:
                self.report.add("annotation without an image", self.relative(path))
        for stem, rows in self._lists().items():
            if stem not in images:
                self.report.add("listed image absent", f"{rows.source}: {stem}")
        for stem, path in images.items():
            where, rows = self.relative(path), self._lists().get(stem)
            annotation = self._annotation(where, annotations.get(stem), rows)
            if annotation is None:
                self.report.add("image without an annotation", where)
                continue
            if rows is None and self._lists():
                self.report.add("frame in no split list", where)
            match = _NAME.fullmatch(path.stem)
            group = f"{self.name}/{int(match[1]):03d}"
            yield Frame(
                self.name,
                where,
                group,
                f"{group}/{int(match[2])}",
                int(match[3]),
                rows.split if rows else None,
                annotation,
            )

    def _by_stem(self, extensions: set[str]) -> dict[str, Path]:
        """Files of these kinds by their name in lower case without the extension."""
        found: dict[str, Path] = {}
        for path in walk_images(self.root, extensions):
            if not _NAME.fullmatch(path.stem):
                self.report.add("file name is not patient, video and frame", self.relative(path))
            elif found.setdefault(path.stem.casefold(), path) is not path:
                self.report.add("same name twice", self.relative(path))
        return found

    def _annotation(self, image: str, xml: Path | None, rows: _Rows | None) -> str | None:
        """Where the boxes of an image are, after counting what is odd about them."""
        from benchmark.data.formats.headers import read_header

        header = read_header(self.root / image)
        listed, found = None, None
        if xml is not None:
            try:
                listed, found = read_voc(xml), self.relative(xml)
            except UnreadableFrame as error:
                self.report.add(str(error), self.relative(xml))
        if listed is not None and rows is not None and _differ(listed, rows.listed):
            self.report.add("list and annotation disagree", image)
            if _helps(rows.listed, listed, header):
                listed = None
        if listed is None and rows is not None:
            self.report.add("boxes taken from the list", image)
            listed, found = rows.listed, f"{rows.source}#{Path(image).stem}"
        if listed is not None:
            self._note(image, listed, header)
        return found

    def _note(self, image: str, listed: VOCAnnotation, header: Header | None) -> None:
        if listed.empty:
            self.report.add("no object in the annotation", image)
        if header is not None and listed.size not in (None, header.drawn_size(listed.size)):
            self.report.add("listed size is not the image's", image)
        for note in _usable(listed, header)[1] if header else listed.faults:
            self.report.add(note, image)

    def _lists(self) -> dict[str, _Rows]:
        """What the lists say, by the frame's name in lower case without the extension."""
        if self._rows is None:
            self._rows = self._read_lists()
        return self._rows

    def _read_lists(self) -> dict[str, _Rows]:
        found: dict[str, _Rows] = {}
        for path in self._csvs:
            where, split = self.relative(path), split_named(path.stem)
            rows = read_table(path, _COLUMNS)
            if rows is None or split is None:
                self.report.add("not a list of train or test", where)
                continue
            for number, row in enumerate(rows, start=1):
                here = f"{where}: row {number}"
                name = plain_name(row[0], f"{path}: row {number}") if row else None
                if row is None:
                    self.report.add("damaged row", here)
                elif name is None:
                    self.report.add("file name leaves the folder", here)
                else:
                    entry = found.setdefault(Path(name).stem.casefold(), _Rows(split, where))
                    if entry.source != where:
                        self.report.add("frame in two lists", here)
                    else:
                        _add_row(entry, row)
        return found

    def read_boxes(self, frame: Frame) -> np.ndarray:
        """Boxes inside the upright picture, float64, N×5. Raises `UnreadableFrame`."""
        import numpy as np

        from benchmark.data.formats.headers import Header, read_header
        from benchmark.data.formats.orientation import turned_boxes

        if frame.annotation is None:
            raise UnreadableFrame("no boxes")
        if frame.annotation.lower().endswith(".xml"):
            listed = read_voc(self.root / frame.annotation)
        else:
            listed = self._lists()[Path(frame.path).stem.casefold()].listed
        # Without a usable header, reading fails and says why.
        header = read_header(self.root / frame.path) or Header(self.read(frame).shape, 1)
        found, _ = _usable(listed, header)
        if not found and not listed.empty:
            raise UnreadableFrame("no usable box")
        boxes = np.array([(*box, index) for index, box in found], np.float64).reshape(-1, 5)
        if header.drawn_size(listed.size) != header.size:
            boxes = turned_boxes(boxes, header.orientation, *header.stored)
        return boxes


def _siblings(raw: str | os.PathLike[str]) -> list[Path]:
    """What lies beside a folder of frames without lists; nothing beside any other folder."""
    folder = Path(os.path.abspath(raw))
    inside = list_visible(folder) if folder.is_dir() else []
    if any(map(_is_list, inside)) or not any(map(_is_frame, inside)):
        return []
    return list_visible(folder.parent)


def _differ(first: VOCAnnotation, second: VOCAnnotation) -> bool:
    return sorted(first.boxes) != sorted(second.boxes)


def _usable(listed: VOCAnnotation, header: Header) -> tuple[list[tuple[int, Box]], list[str]]:
    """`VOCAnnotation.usable` on the picture that was annotated."""
    return listed.usable(header.drawn_size(listed.size), (CLASS,))


def _helps(rows: VOCAnnotation, listed: VOCAnnotation, header: Header | None) -> bool:
    """Whether a list has a usable box for an image whose own annotation has none."""
    return header is not None and bool(_usable(rows, header)[0] and not _usable(listed, header)[0])


def _add_row(entry: _Rows, row: tuple[str, ...]) -> None:
    """Add one row of a list to what is known of its frame."""
    _, width, height, name, *edges = row
    add_object(entry.listed, name, edges)
    entry.listed = replace(entry.listed, size=parse_size(height, width))
