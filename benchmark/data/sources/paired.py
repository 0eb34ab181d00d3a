"""Images and vessel masks in separate folders, paired by file name: a user's own data."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data.formats.list_files import base_name, name_key, nfc, read_table
from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.sources.files import (
    IMAGE_EXTENSIONS,
    FolderSource,
    Raw,
    find_entry,
    find_folder,
    find_root,
    list_folders,
    walk_images,
)
from benchmark.data.splits import SPLITS, split_named
from benchmark.errors import InputError

if TYPE_CHECKING:
    import numpy as np

PATIENTS = "patients.csv"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def _images_and_masks(folder: Path) -> tuple[Path, Path] | None:
    images, masks = find_folder(folder, "images"), find_folder(folder, "masks")
    return (images, masks) if images and masks else None


def _split_folders(root: Path) -> list[tuple[str | None, Path, Path]]:
    """Split, images and masks of each split folder, or of the root itself."""
    found: list[tuple[str | None, Path, Path]] = []
    for folder in list_folders(root):
        split, pair = split_named(folder.name), _images_and_masks(folder)
        if split and pair:
            found.append((split, *pair))
    if found:
        return sorted(found, key=lambda entry: SPLITS.index(str(entry[0])))
    pair = _images_and_masks(root)
    return [(None, *pair)] if pair else []


class Paired(FolderSource):
    """Reader of image and mask folders.

    The layout is ``{train,val,test}/{images,masks}``, or ``{images,masks}`` alone for data without
    splits. An image and its mask have the same path below their folders, up to the extension.
    Masks are read by the rule of `benchmark.data.formats.masks`.

    A file ``patients.csv`` with the columns ``name`` and ``patient`` beside the split folders names
    the patients, whose frames stay together in every split. ``name`` is a file name with or
    without extension, or ``test/name`` where two splits use the same one.

    Args:
        raw: the folder with the split folders in it, or one above.
        name: what to call the dataset: lower-case letters, digits, ``_`` and ``-``.

    Raises:
        InputError: from `frames`: patients.csv is not a table with the two columns.
    """

    name = "paired"
    split_note = "the folders the images lie in"
    forms = ("segmentation", "pack")
    classes = ("vessel",)

    def __init__(self, raw: Raw, *, name: str = "paired") -> None:
        super().__init__()
        if not _NAME.fullmatch(name):
            raise InputError(f"name {name!r}: use lower-case letters, digits, _ and - only")
        self.name = self.options["name"] = name
        expected = f"{name} (folders train/images, train/masks, test/images, test/masks)"
        self.root = find_root(raw, lambda folder: bool(_split_folders(folder)), expected)
        self._folders = _split_folders(self.root)
        if any(split == "train" for split, _, _ in self._folders):
            self.pack_splits = ("train",)

    def walk(self) -> Iterator[Frame]:
        patients = self._patients()
        unused = set(patients)
        split_of: dict[str, str | None] = {}
        for split, images, masks in self._folders:
            for image, mask in self._pairs(images, masks):
                where = self.relative(image)
                group = None
                for key in map(name_key, (f"{split}/{image.stem}", image.stem)):
                    if key in patients and group is None:
                        group = f"{self.name}/{patients[key]}"
                        unused.discard(key)
                if patients and group is None:
                    self.report.add("image without a patient", where)
                if group is not None and split_of.setdefault(group, split) != split:
                    self.report.add("patient in two splits", where)
                yield Frame(self.name, where, group, split=split, annotation=self.relative(mask))
        for key in sorted(unused):
            self.report.add("listed name without an image", f"{PATIENTS}: {key}")

    def _pairs(self, images: Path, masks: Path) -> list[tuple[Path, Path]]:
        def key(path: Path) -> str:
            base = images if path.is_relative_to(images) else masks
            return name_key(path.relative_to(base).with_suffix("").as_posix())

        return self.pair(walk_images(images), walk_images(masks), key)

    def _patients(self) -> dict[str, str]:
        """`name_key` without extension, after its split if there is one → patient."""
        path = find_entry(self.root, PATIENTS)
        if path is None:
            return {}
        rows = read_table(path, ("name", "patient"))
        if rows is None:
            raise InputError(f"{path}: the first line must be name,patient")
        patients: dict[str, str] = {}
        for number, row in enumerate(rows, start=1):
            here = f"{PATIENTS}: row {number}"
            name = base_name(row[0], f"{path}: row {number}") if row else None
            if row is None or name is None or not row[1]:
                self.report.add("damaged row", here)
                continue
            folders = row[0].replace("\\", "/").split("/")[:-1]
            splits = [split for split in map(split_named, folders) if split]
            key = name_key("/".join([*splits[:1], name]))
            if key.endswith(tuple(IMAGE_EXTENSIONS)):
                key = key.rpartition(".")[0]
            if patients.setdefault(key, nfc(row[1])) != nfc(row[1]):
                self.report.add("name with two patients", here)
        return patients

    def file_set(self, path: Path) -> tuple[str, Iterable[Path]]:
        """All images: training and test images share one white level."""
        folders = (walk_images(images) for _, images, _ in self._folders)
        return "all images", itertools.chain.from_iterable(folders)

    def read_masks(self, frame: Frame) -> np.ndarray:
        """Vessel mask of the image's size, bool, 1×H×W. Raises `UnreadableFrame`."""
        from benchmark.data.formats.headers import image_size

        masks = super().read_masks(frame)
        if masks.shape[1:] != (image_size(self.root / frame.path) or masks.shape[1:]):
            raise UnreadableFrame("mask and image differ in size")
        return masks
