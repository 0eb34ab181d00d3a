"""Boxes in Pascal VOC's XML files, one for each image."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.formats.annotations import class_name
from benchmark.data.formats.list_files import name_key
from benchmark.data.formats.voc import VOCAnnotation, read_voc, upright_boxes
from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.sources.files import FolderSource, find_entry, find_folder, walk_files
from benchmark.data.sources.layouts.base import (
    ANNOTATION_FOLDERS,
    IMAGE_FOLDERS,
    ImageIndex,
    Layout,
    Sample,
    data_folders,
    titled,
)
from benchmark.data.splits import SPLITS, read_split_list, split_of
from benchmark.errors import one_of

if TYPE_CHECKING:
    from typing import Self

    import numpy as np


class BoxLayout(Layout):
    """Images whose boxes are a `VOCAnnotation`, wherever they come from."""

    forms = ("detection",)
    _only: tuple[str, ...] = ()  # the classes that the user asks for; empty: all

    def select_classes(self, classes: tuple[str, ...]) -> None:
        names = (class_name(name) or "" for name in classes)
        self._only = self.classes = tuple(one_of("class", name, self.classes) for name in names)

    def images(self) -> Iterator[Path]:
        yield from ImageIndex(self.root).files

    def annotation(self, frame: Frame) -> VOCAnnotation:
        """The boxes of an image. Raises `UnreadableFrame`."""
        raise NotImplementedError

    def report_boxes(self, image: Path, annotation: VOCAnnotation) -> None:
        """Report everything unusual about the boxes of an image."""
        from benchmark.data.formats.headers import read_header

        report, where = self.source.report, self.source.relative(image)
        if annotation.empty:
            report.add("no object in the annotation", where)
        header = read_header(image)
        if header is None:
            return
        size = header.annotated_size(annotation.size)
        if annotation.size not in (None, size):
            report.add("listed size differs from the image", where)
        for note in annotation.usable(size, self.classes)[1]:
            report.add(note, where)

    def read_boxes(self, frame: Frame) -> np.ndarray:
        annotation = self.annotation(frame)
        return upright_boxes(annotation, self.source.header(frame), self.classes)


class VocLayout(BoxLayout):
    """Images and XML files of the same name, beside each other or in folders of their own.

    The classes are the names of all objects, sorted. Splits are those of the folders, or of VOC's
    lists, ``ImageSets/Main/{train,val,test}.txt``.
    """

    kind = "voc"
    split_note = "the folders the annotations lie in, or ImageSets/Main"

    def __init__(
        self, source: FolderSource, root: Path, files: list[Path], folders: list[str]
    ) -> None:
        super().__init__(source, root)
        self._files = files
        self.title = f"{titled(folders)} (VOC)"

    @classmethod
    def find(cls, source: FolderSource, root: Path, problems: list[str]) -> Self | None:
        files: dict[Path, None] = {}
        folders = []
        for _, folder in data_folders(root, (*ANNOTATION_FOLDERS, *IMAGE_FOLDERS)):
            nested = folder != root
            found = walk_files(folder, lambda path: path.suffix.lower() == ".xml", nested)
            before = len(files)
            files.update(dict.fromkeys(found))
            if len(files) > before:
                folders.append((folder.relative_to(root) / "*.xml").as_posix())
        return cls(source, root, list(files), folders) if files else None

    @functools.cached_property
    def _annotations(self) -> dict[str, VOCAnnotation | str]:
        """Path of an XML file below the root → its boxes, or why it cannot be used."""
        found: dict[str, VOCAnnotation | str] = {}
        for path in self._files:
            try:
                found[path.relative_to(self.root).as_posix()] = read_voc(path)
            except UnreadableFrame as error:
                found[path.relative_to(self.root).as_posix()] = str(error)
        return found

    @functools.cached_property
    def _names(self) -> list[str]:
        every = (a.boxes for a in self._annotations.values() if isinstance(a, VOCAnnotation))
        return sorted({name for boxes in every for name, _ in boxes if name})

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        return tuple(self._names)

    def samples(self) -> Iterator[Sample]:
        index = ImageIndex(self.root, by_stem=True)
        used: dict[Path, str | None] = {}
        report = self.source.report
        listed = self._listed()
        order = {
            name: split_of(self.root / name, self.root) or listed.get(name_key(Path(name).stem))
            for name in self._annotations
        }
        for where in sorted(order, key=lambda name: (*SPLITS, None).index(order[name])):
            annotation, split = self._annotations[where], order[where]
            images = index.find(where, split)
            if isinstance(annotation, str):
                report.add(annotation, where)
                used.update(dict.fromkeys(images))
            elif not images:
                report.add("annotation without an image", where)
            elif len(images) > 1:
                report.add("annotation of several images", where)
                used.update(dict.fromkeys(images))
            elif images[0] in used:
                report.add("image with several annotations", where)
            else:
                image = images[0]
                used[image] = split
                self.report_boxes(image, self._shown(annotation))
                name = Path(where).with_suffix(image.suffix).as_posix()
                yield Sample(split or split_of(image, self.root), image, where, name)
        for image in index.files:
            if image not in used:
                report.add("image without an annotation", self.source.relative(image))

    def _listed(self) -> dict[str, str]:
        """Names of images in the lists of VOC and their splits."""
        found: dict[str, str] = {}
        folder = find_folder(self.root, "ImageSets/Main")
        for split in SPLITS:
            if folder and (path := find_entry(folder, f"{split}.txt")):
                found |= read_split_list(path)
        return found

    def _shown(self, annotation: VOCAnnotation) -> VOCAnnotation:
        """The annotation without classes that the user has not asked for."""
        if not self._only:
            return annotation
        boxes = [
            (name, box)
            for name, box in annotation.boxes
            if name not in self._names or name in self._only
        ]
        return VOCAnnotation(annotation.size, boxes, annotation.errors)

    def annotation(self, frame: Frame) -> VOCAnnotation:
        found = self._annotations[str(frame.annotation)]
        if isinstance(found, str):
            raise UnreadableFrame(found)
        return self._shown(found)
