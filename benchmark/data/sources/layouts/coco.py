"""COCO's JSON files: outlines and boxes."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.data.formats.coco import (
    COCOImage,
    draw_shapes,
    missing_list,
    parse_coco,
    read_categories,
    shape_notes,
)
from benchmark.data.formats.list_files import read_json_object
from benchmark.data.formats.voc import VOCAnnotation
from benchmark.data.frame import Frame
from benchmark.data.sources.files import FolderSource, is_file, list_entries
from benchmark.data.sources.layouts.base import (
    ANNOTATION_FOLDERS,
    IMAGE_FOLDERS,
    ImageIndex,
    Sample,
    data_folders,
    titled,
)
from benchmark.data.sources.layouts.boxes import BoxLayout
from benchmark.data.splits import SPLITS, split_named, split_of
from benchmark.errors import InputError

if TYPE_CHECKING:
    from typing import Self

    import numpy as np


class CocoLayout(BoxLayout):
    """Images and COCO files, one for each split or one for all.

    The split of an image is the one that its file is named after, else that of its folders.
    Categories have the order of their ids; those of all files are put together.
    """

    kind = "coco"
    split_note = "the names of the annotation files, or the folders the images lie in"

    def __init__(self, source: FolderSource, root: Path, files: dict[str, dict[str, Any]]) -> None:
        super().__init__(source, root)
        self._files = files
        self.title = f"{titled(files)} (COCO)"
        entries = [e for c in files.values() for e in c["annotations"] if isinstance(e, dict)]
        outlines = any(entry.get("segmentation") for entry in entries)
        boxes = any(entry.get("bbox") for entry in entries)
        names = ("segmentation",) * outlines + ("detection",) * (boxes or not outlines)
        self.forms = names
        self.classes = self._declared()

    @classmethod
    def find(cls, source: FolderSource, root: Path, problems: list[str]) -> Self | None:
        files: dict[str, dict[str, Any]] = {}
        for _, folder in data_folders(root, (*ANNOTATION_FOLDERS, *IMAGE_FOLDERS)):
            for path in list_entries(folder):
                if path.suffix.lower() != ".json" or not is_file(path):
                    continue
                try:
                    content = read_json_object(path)
                except InputError as error:
                    problems.append(str(error))
                    continue
                if missing_list(content) is None:
                    files[path.relative_to(root).as_posix()] = content
        return cls(source, root, files) if files else None

    def _declared(self) -> tuple[str, ...]:
        """Names of the categories of all files, in the order of their ids."""
        names: dict[str, int] = {}
        for where, content in self._files.items():
            found = read_categories(content.get("categories"), where, {}, lambda *_: None)
            for number, name in found.items():
                names.setdefault(name, number)
        return tuple(sorted(names, key=lambda name: names[name]))

    @functools.cached_property
    def _boxes(self) -> bool:
        return self.source.forms[0] == "detection"

    @functools.cached_property
    def _parsed(self) -> dict[str, tuple[dict[str, COCOImage], list[tuple[str, str]]]]:
        """File → its images by name, and what was skipped in it; without other classes."""
        found = {}
        for where, content in self._files.items():
            skipped: list[tuple[str, str]] = []
            images = parse_coco(
                *(content, where, {}, lambda *entry, into=skipped: into.append(entry)),
                paths=True,
                boxes=self._boxes,
            )
            for image in images.values():
                kept = [s for s in image.shapes if not self._only or s.category in self._only]
                # Without the other classes, an image may have nothing left: it is empty then.
                image.empty |= not kept and bool(image.shapes) and not image.unusable
                image.shapes = kept
            found[where] = images, skipped
        return found

    def samples(self) -> Iterator[Sample]:
        index = ImageIndex(self.root)
        report = self.source.report
        used: dict[Path, str] = {}
        order = {where: self._split(where) for where in self._files}
        for where in sorted(order, key=lambda name: (*SPLITS, None).index(order[name])):
            images, skipped = self._parsed[where]
            for entry in skipped:
                report.add(*entry)
            for key, image in images.items():
                found = index.find(image.name, order[where])
                here = f"{where}: {image.name[:200]}"
                if not found:
                    report.add("listed image missing", here)
                elif len(found) > 1:
                    report.add("several images of the listed name", here)
                elif used.setdefault(found[0], here) != here:
                    report.add("image listed twice", here)
                elif image.unambiguous:
                    self._report_oddities(image, found[0])
                    split = order[where] or split_of(found[0], self.root)
                    yield Sample(split, found[0], f"{where}#{key}", image.name)
        for path in index.files:
            if path not in used:
                report.add("unlisted image", self.source.relative(path))

    def _split(self, where: str) -> str | None:
        return split_named(Path(where).stem) or split_of(self.root / where, self.root)

    def _report_oddities(self, image: COCOImage, path: Path) -> None:
        if self._boxes:
            self.report_boxes(path, _boxes_of(image))
            return
        where = self.source.relative(path)
        if image.empty:
            self.source.report.add("image without an annotation", where)
        for note in shape_notes(image, path):
            self.source.report.add(note, where)

    def _image(self, frame: Frame) -> COCOImage:
        where = next(w for w in self._files if str(frame.annotation).startswith(f"{w}#"))
        return self._parsed[where][0][str(frame.annotation).removeprefix(f"{where}#")]

    def annotation(self, frame: Frame) -> VOCAnnotation:
        return _boxes_of(self._image(frame))

    def read_masks(self, frame: Frame) -> np.ndarray:
        header = self.source.header(frame)
        return draw_shapes(self._image(frame), header, len(self.classes), self.classes.index)


def _boxes_of(image: COCOImage) -> VOCAnnotation:
    """The boxes of an image; not empty if its annotations could not be used."""
    height, width = image.size
    size = (height, width) if isinstance(height, int) and isinstance(width, int) else None
    boxes = [(shape.category, shape.box) for shape in image.shapes if shape.box is not None]
    annotation = VOCAnnotation(size, boxes)
    if not boxes and not image.empty:
        annotation.errors.append("no usable annotation")
    return annotation
