"""A user's own labelled data: images and their masks, COCO or VOC files, or noisy frames."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmark.data.frame import Frame
from benchmark.data.sources.files import (
    FolderSource,
    Raw,
    list_entries,
    missing_data_hint,
    require_folder,
    search_root,
)
from benchmark.data.sources.layouts.base import Layout, Sample
from benchmark.data.sources.layouts.boxes import VocLayout
from benchmark.data.sources.layouts.coco import CocoLayout
from benchmark.data.sources.layouts.pairs import CleanLayout, MaskLayout
from benchmark.data.sources.own_split import OwnSplit, listed_names, report_shared_patients
from benchmark.data.sources.patients import (
    distinct_prefixes,
    patient_folders,
    prefixes,
    read_patient_list,
)
from benchmark.errors import InputError
from benchmark.type_hints import Rate, Seed

if TYPE_CHECKING:
    import numpy as np

Form = Literal["auto", "pack", "segmentation", "detection", "denoising"]
LayoutName = Literal["auto", "masks", "coco", "voc", "clean"]
GroupRule = Literal["auto", "list", "folder", "prefix", "none"]

_LAYOUTS = {layout.kind: layout for layout in (MaskLayout, CocoLayout, VocLayout, CleanLayout)}
_PAIRS = "{train,val,test}/{images,masks}, images/{train,val,test} + masks/{train,val,test}"
_ACCEPTED = (
    f"{_PAIRS}, images + masks, images + COCO json, images + VOC xml, or clean and noisy frames in "
    "place of images and masks"
)
_WITH_SPLITS = f"{_PAIRS}, and one folder or annotation file for each split"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_SHOWN = 8


class Paired(FolderSource):
    """Reader of images and annotations in any of the layouts of docs/add_a_dataset.md.

    The layout is recognised. Masks are read by the rule of
    `benchmark.data.formats.masks`, or as class indices where several classes are named.

    Args:
        raw: the folder of the data, or one at most two levels above.
        name: what to call the dataset: lower-case letters, digits, ``_`` and ``-``.
        form: what will be built, where the files allow several; ``auto``: any.
        layout: which layout to read, where a folder has several.
        classes: names separated by commas. Masks: of the indices 1, 2, …; one name is a binary
            mask. COCO and VOC: those to use, in this order, instead of all.
        group: how the patient of an image is identified. ``list``: by ``patients.csv`` beside the
            images, with the columns ``name`` (a file name, or ``test/name`` where two splits use
            the same one) and ``patient``; ``folder``: by the first folder level below the images
            with at least two different names that contain a digit; ``prefix``: by the file name up
            to the first ``_``, ``-`` or space; ``none``: not at all; ``auto``: by the list if there
            is one, otherwise by folder, or by a prefix that contains a digit and is not the same
            for all.
        split_file: a list ``name,split`` (see `benchmark.data.splits.read_split_file`) instead of
            split folders; its names are images, with or without folders and extension, or patients.
        test_fraction: share of the images that become ``test``, by patient, where there are no
            split folders.
        seed: seed of that choice.

    Raises:
        InputError: no layout is recognised or several are, classes are not those of the files, or
            options exclude each other. From `frames`: a list cannot be used.
    """

    name = "paired"

    def __init__(
        self,
        raw: Raw,
        *,
        name: str = "paired",
        form: Form = "auto",
        layout: LayoutName = "auto",
        classes: str = "",
        group: GroupRule = "auto",
        split_file: str = "",
        test_fraction: Rate = 0.0,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        if not _NAME.fullmatch(name):
            raise InputError(f"name {name!r}: use lower-case letters, digits, _ and - only")
        self.name = self.options["name"] = name
        self._rule = group
        self._split = OwnSplit.create(split_file, test_fraction, seed)
        self.options |= self._split.options
        self._layout = self._find_layout(raw, form, layout)
        self.root = self._layout.root
        self.has_noisy_frames = "denoising" in self._layout.forms
        self.forms = (*self._layout.forms, "pack")
        if form not in ("auto", "pack") and form in self.forms:
            self.forms = (form, *(other for other in self.forms if other != form))
        if classes:
            wanted = tuple(word.strip() for word in classes.split(",") if word.strip())
            if len(set(wanted)) < len(wanted) or not wanted:
                raise InputError(f"option classes={classes}: name each class once")
            self._layout.select_classes(wanted)
            self.options["classes"] = ",".join(self._layout.classes)
        self.classes = self._layout.classes
        shown = f"; classes: {', '.join(self.classes)}" if self.classes else ""
        self.layout = f"{self._layout.title} in {self.root}{shown}"
        self.split_note = self._split.note([]) or self._layout.split_note
        self._splits: set[str] | None = None

    def _find_layout(self, raw: Raw, form: Form, wanted: LayoutName) -> Layout:
        top = require_folder(raw, f"images and annotations ({_ACCEPTED})")
        problems: list[str] = []

        def layouts_of(folder: Path) -> list[Layout]:
            kinds = _LAYOUTS if wanted == "auto" else (wanted,)
            found = (_LAYOUTS[kind].find(self, folder, problems) for kind in kinds)
            return [layout for layout in found if layout is not None]

        root = search_root(top, lambda folder: bool(layouts_of(folder)))
        if root is None:
            names = [entry.name for entry in list_entries(top)]
            shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
            raise InputError(
                f"{top}: this does not look like {self.name} ({_ACCEPTED}); it holds "
                f"{shown or 'nothing'}{missing_data_hint(top)}" + "; ".join(["", *problems[:1]])
            )
        found = layouts_of(root)
        if (root / "manifest.json").is_file() and found[0].kind == "masks":
            # A prepared task of several classes: its COCO files keep overlaps.
            found = found[-1:]
        fitting = [layout for layout in found if form in layout.forms] or found
        if len(fitting) > 1:
            ways = " and ".join(f"{one.title} (layout={one.kind})" for one in fitting)
            raise InputError(f"{root}: holds {ways}; choose one with --option layout=…")
        return fitting[0]

    def walk(self) -> Iterator[Frame]:
        samples = list(self._layout.samples())
        frames = [
            Frame(
                self.name,
                self.relative(sample.image),
                None if patient is None else f"{self.name}/{patient}",
                split=sample.split,
                annotation=sample.annotation,
            )
            for sample, patient in zip(samples, self._patients(samples))
        ]
        name_of = {frame.path: sample.name for frame, sample in zip(frames, samples)}

        def names(frame: Frame) -> list[str]:
            return listed_names(frame.path, name_of[frame.path], frame.group)

        frames = self._split.apply(frames, names, self.report)
        if self._split.test_fraction:
            self.split_note = self._split.note(frames)
        report_shared_patients(frames, self.report)
        self._splits = {frame.split for frame in frames if frame.split}
        yield from frames

    def _found_splits(self) -> set[str]:
        if self._splits is None:
            list(self.frames())
        return self._splits or set()

    @property
    def pack_splits(self) -> tuple[str, ...] | None:
        """The training split, if there is one."""
        return ("train",) if "train" in self._found_splits() else None

    def check_splits(self) -> None:
        self._split.check(self._found_splits(), f"{self.root}: {self._layout.title}", _WITH_SPLITS)

    def _patients(self, samples: list[Sample]) -> list[str | None]:
        unknown = [None] * len(samples)
        listed = (
            read_patient_list(self.root, self.report) if self._rule in ("auto", "list") else None
        )
        if listed is not None:
            found = [listed.patient(sample.image.stem, sample.split) for sample in samples]
            for sample, patient in zip(samples, found):
                if patient is None and listed.patients:
                    self.report.add("image without a patient", self.relative(sample.image))
            for key in sorted(listed.patients.keys() - listed.used):
                self.report.add("listed name without an image", f"patients.csv: {key}")
            return found
        folders = patient_folders([tuple(sample.name.split("/")[:-1]) for sample in samples])
        stems = [sample.image.stem for sample in samples]
        rules = {
            "auto": [folders, distinct_prefixes(stems)],
            "folder": [folders],
            "prefix": [prefixes(stems)],
        }.get(self._rule, [unknown])
        found = [next(filter(None, known), None) for known in zip(*rules)]
        if any(found):
            for sample, patient in zip(samples, found):
                if patient is None:
                    self.report.add("patient unknown", self.relative(sample.image))
        return found

    def file_set(self, path: Path) -> tuple[str, Iterable[Path]]:
        """All images: training and test images share one white level."""
        return "all images", self._layout.images()

    def read_masks(self, frame: Frame) -> np.ndarray:
        return self._layout.read_masks(frame)

    def read_boxes(self, frame: Frame) -> np.ndarray:
        return self._layout.read_boxes(frame)

    def read_degraded(self, frame: Frame) -> np.ndarray:
        return self._layout.read_degraded(frame)
