"""ARCADE: 3,000 coronary angiograms with segments or stenoses as polygons (Popov et al., Sci Data
2024; https://zenodo.org/records/10390295).

Two subsets of 1,000 training, 200 validation and 300 test images, PNG 512×512 (with three equal
channels in the stenosis subset), and COCO annotations::

    arcade/{syntax,stenosis}/{train,val,test}/images/N.png
    arcade/{syntax,stenosis}/{train,val,test}/annotations/{train,val,test}.json

and the same as distributed for the ARCADE challenge (https://arcade.grand-challenge.org)::

    dataset_phase_1/{segmentation_dataset/seg_{train,val},stenosis_dataset/sten_{train,val}}/…
    dataset_final_phase/{test_case_segmentation,test_cases_stenosis}/annotations/instances_default.json

Patients are unknown. Pitfalls: annotation ids are not unique, images are unordered, category ids
are not their names (``10`` has id 11), polygons intersect themselves, and the same ``N.png`` is in
all six folders.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.data.formats.coco import COCOImage, draw_shapes, read_coco, shape_notes
from benchmark.data.formats.list_files import name_key
from benchmark.data.frame import Frame
from benchmark.data.sources.files import (
    FolderSource,
    Raw,
    find_folder,
    find_root,
    is_file,
    list_entries,
    list_folders,
    walk_images,
)
from benchmark.data.splits import SPLITS, named_by_word, split_named
from benchmark.errors import InputError, one_of

if TYPE_CHECKING:
    import numpy as np

SEGMENTS: tuple[str, ...] = (
    *("1", "2", "3", "4", "5", "6", "7", "8", "9", "9a", "10", "10a", "11", "12", "12a"),
    *("13", "14", "14a", "15", "16", "16a", "16b", "16c", "12b", "14b"),
)
"""Names of categories 1 to 25, the segments of the SYNTAX score (Sianos et al., EuroIntervention
2005); category 26 is ``stenosis``."""

CATEGORIES = dict(enumerate((*SEGMENTS, "stenosis"), start=1))

TASKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "arcade_v": ("syntax", ("vessel",)),
    "arcade_vs": ("syntax", SEGMENTS),
    "arcade_s": ("stenosis", ("stenosis",)),
}
"""Task → subset and classes. ``arcade_v`` is the union of all segments."""

_SUBSET_WORDS = {"syntax": "syntax", "segmentation": "syntax", "seg": "syntax"}
_SUBSET_WORDS |= {"stenosis": "stenosis", "sten": "stenosis"}
_TOP_FOLDERS = {"syntax", "stenosis", "dataset_phase_1", "dataset_final_phase"}
_TOP_FOLDERS |= {"segmentation_dataset", "stenosis_dataset"}


def _sample_folders(root: Path) -> Iterator[tuple[Path, Path, Path]]:
    """Folders of the download with images and annotations: (folder, images, annotations)."""
    level = [folder for folder in list_folders(root) if folder.name.casefold() in _TOP_FOLDERS]
    return itertools.chain.from_iterable(map(_samples_below, level))


def _samples_below(folder: Path, depth: int = 3) -> Iterator[tuple[Path, Path, Path]]:
    images, annotations = find_folder(folder, "images"), find_folder(folder, "annotations")
    if images and annotations:
        yield folder, images, annotations
    elif depth:
        for entry in list_folders(folder):
            yield from _samples_below(entry, depth - 1)


def _annotation_file(folder: Path, split: str) -> Path:
    """The annotation file of a sample folder; among copies the one named as published."""
    files = [e for e in list_entries(folder) if e.suffix.lower() == ".json" and is_file(e)]
    if len(files) > 1:
        stems = (split, f"seg_{split}", f"sten_{split}", "instances_default")
        files = [f for stem in stems for f in files if f.stem.casefold() == stem][:1]
    if len(files) != 1:
        raise InputError(f"{folder}: holds no {split}.json; unpack the archive again")
    return files[0]


class Arcade(FolderSource):
    """Reader of ARCADE, for one task at a time.

    Polygons are rasterised by the rule of `benchmark.data.formats.polygons`. An image without any
    annotation is kept with an empty mask, and counted; one whose annotations cannot be used, or
    belong to other classes than the task's, is unreadable.

    Args:
        raw: ``arcade/``, a folder above it, or one of the subsets.
        task: ``arcade_v`` (vessel), ``arcade_vs`` (25 segments) or ``arcade_s`` (stenosis).
        train: ``"train"``, or ``"val"`` for the split of VasoMIM's AAAI paper: training on the 200
            validation images, without the 1,000 training images; the same test images.

    Raises:
        InputError: the folder lacks the subset of the task or one of its annotation files, or
            holds a split twice. From `frames`: an annotation file is damaged.
    """

    name = "arcade"
    task = "arcade_v"
    expected = {"frames": 1500}
    official_split = True
    split_note = "train, val and test as published with ARCADE"
    forms = ("segmentation", "pack")
    pack_splits = ("train",)

    def __init__(
        self,
        raw: Raw,
        *,
        task: str = "arcade_v",
        train: Literal["train", "val"] = "train",
    ) -> None:
        super().__init__()
        self.options["task"] = self.task = one_of("task", task, TASKS)
        self._subset, self.classes = TASKS[task]
        # Published split → the split its frames are used as.
        self._roles = {split: split for split in SPLITS}
        if train == "val":
            self.options["train"] = train
            self._roles = {"val": "train", "test": "test"}
            self.official_split = False
            self.split_note = "trained on ARCADE's val images, tested on its test images (AAAI)"
        self.root = find_root(
            raw,
            lambda folder: next(_sample_folders(folder), None) is not None,
            "ARCADE (a folder with syntax and stenosis in it)",
            inside=_TOP_FOLDERS,
        )
        self._folders = self._find_folders()
        self._files: dict[str, tuple[dict[str, COCOImage], list[tuple[str, str]]]] = {}

    def _find_folders(self) -> dict[str, tuple[Path, str]]:
        """Split → folder of its images, and its annotation file below the root."""
        found: dict[str, tuple[Path, str]] = {}
        for folder, images, listings in _sample_folders(self.root):
            # The innermost folder that names one decides: seg_train in dataset_phase_1.
            names = self.relative(folder).split("/")[::-1]
            subsets = (named_by_word(name, _SUBSET_WORDS) for name in names)
            subset = next(filter(None, subsets), None)
            split = next(filter(None, map(split_named, names)), None)
            if subset != self._subset or split is None:
                continue
            if split in found:
                raise InputError(
                    f"{folder}: a second {split} folder of the {subset} subset, besides "
                    f"{found[split][0].parent}; keep one"
                )
            found[split] = images, self.relative(_annotation_file(listings, split))
        if not found:
            raise InputError(f"{self.root}: no {self._subset} subset, which task {self.task} needs")
        return {split: found[split] for split in SPLITS if split in found}

    def walk(self) -> Iterator[Frame]:
        for split in self._roles:
            if split in self._folders:
                yield from self._split_frames(split, *self._folders[split])
            else:
                self.report.add("split missing", f"{self._subset}/{split}")

    def _split_frames(self, split: str, folder: Path, annotations: str) -> Iterator[Frame]:
        by_name, skipped = self._annotations(annotations)
        for skip in skipped:
            self.report.add(*skip)
        present: set[str] = set()
        for path in walk_images(folder, nested=False):
            key, where = name_key(path.name), self.relative(path)
            if key not in by_name:
                self.report.add("unlisted image", where)
            elif key in present:
                self.report.add("duplicate name", where)
            elif by_name[key].unambiguous:
                self._report_oddities(by_name[key], path)
                annotation = f"{annotations}#{path.name}"
                yield Frame(self.name, where, split=self._roles[split], annotation=annotation)
            present.add(key)
        for image in (image for key, image in by_name.items() if key not in present):
            self.report.add("listed image missing", f"{self.relative(folder)}/{image.name}")

    def _report_oddities(self, image: COCOImage, path: Path) -> None:
        """Report everything unusual about the annotations of an image."""
        where = self.relative(path)
        if image.empty:
            self.report.add("image without an annotation", where)
        for shape in image.shapes:
            if shape.category not in CATEGORIES.values():
                name = shape.category[:200]
                self.report.add("annotation of an unknown category", f"{where} ({name!r})")
            elif self._class_index(shape.category) is None:
                self.report.add("annotation of another task's category", where)
        for note in shape_notes(image, path):
            self.report.add(note, where)

    def _annotations(self, path: str) -> tuple[dict[str, COCOImage], list[tuple[str, str]]]:
        """The images of an annotation file by name, and what was skipped in it; read once."""
        if path not in self._files:
            skipped: list[tuple[str, str]] = []
            images = read_coco(self.root / path, path, CATEGORIES, lambda *s: skipped.append(s))
            self._files[path] = images, skipped
        return self._files[path]

    def _class_index(self, category: str) -> int | None:
        """Channel of a category, by its name; None for one that belongs to another task."""
        if self.task == "arcade_v":
            return 0 if category in SEGMENTS else None
        return self.classes.index(category) if category in self.classes else None

    def read_masks(self, frame: Frame) -> np.ndarray:
        """Masks of the classes, upright like the image, bool, C×H×W. Raises `UnreadableFrame`."""
        name = frame.path.rsplit("/", 1)[-1]
        by_name, _ = self._annotations(frame.annotation.removesuffix(f"#{name}"))
        image = by_name[name_key(name)]
        return draw_shapes(image, self.header(frame), len(self.classes), self._class_index)
