"""ARCADE, as published and as distributed for its challenge, with synthetic frames."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from benchmark.data.sources.arcade import CATEGORIES, SEGMENTS
from benchmark.data.synthetic.raw.dataset import RawDataset, truncate
from benchmark.data.synthetic.raw.stenosis import patients_with_stenoses

FRAMES = {"train": 5, "val": 2, "test": 3}
"""Frames of each subset and split; images N.png are numbered consecutively over the splits."""

STENOSIS = len(SEGMENTS) + 1
"""Id of the category; the segments have 1 to 25, in the order of their names."""

Places = Mapping[tuple[str, str], str]
"""(subset, split) → annotation file without its folder ``annotations``."""

PUBLISHED: Places = {
    (subset, split): f"arcade/{subset}/{split}/{split}.json"
    for subset in ("syntax", "stenosis")
    for split in FRAMES
}
_PHASE = "arcade_challenge_datasets/dataset_phase_1"
_FINAL = "arcade_challenge_datasets/dataset_final_phase"
CHALLENGE: Places = {
    ("syntax", "train"): f"{_PHASE}/segmentation_dataset/seg_train/seg_train.json",
    ("syntax", "val"): f"{_PHASE}/segmentation_dataset/seg_val/seg_val.json",
    ("syntax", "test"): f"{_FINAL}/test_case_segmentation/instances_default.json",
    ("stenosis", "train"): f"{_PHASE}/stenosis_dataset/sten_train/sten_train.json",
    ("stenosis", "val"): f"{_PHASE}/stenosis_dataset/sten_val/sten_val.json",
    ("stenosis", "test"): f"{_FINAL}/test_cases_stenosis/instances_default.json",
}


def mask_polygons(mask: np.ndarray) -> list[list[float]]:
    """Polygons that contain exactly the pixel centres of `mask` (holes are filled).

    Contours run through pixel centres; on a magnified mask, these lie between the centres and the
    edges of the original pixels.
    """
    factor = 4
    magnified = np.kron(mask, np.ones((factor, factor))).astype(np.uint8)
    contours, _ = cv2.findContours(magnified, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [((contour.reshape(-1) + 0.5) / factor).tolist() for contour in contours]


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """Uncompressed COCO run lengths of a mask."""
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    counts = np.diff(edges, prepend=0, append=flat.size).tolist()
    return {"size": list(mask.shape), "counts": counts}


class _Folder:
    """Images of one subset and split, and their annotation file being assembled.

    Image ids are unrelated to file names.
    """

    def __init__(self, raw: RawDataset, subset: str, path: str) -> None:
        self.raw = raw
        self.subset = subset
        self.path = path
        self.images: list[Any] = []
        self.annotations: list[Any] = []
        self.ids = itertools.count(1)
        self.categories = [
            {"id": number, "name": name, "supercategory": ""} for number, name in CATEGORIES.items()
        ]

    def list_image(self, file_name: str, number: int | None = None) -> int:
        number = len(self.images) + 41 if number is None else number
        sides = {"height": self.raw.size, "width": self.raw.size}
        self.images.append({"id": number, "file_name": file_name, **sides})
        return number

    def save(self, file_name: str, patient: int) -> None:
        """Write an image that is not listed."""
        mode = "RGB" if self.subset == "stenosis" else None
        self.raw.save(f"{self.path}/images/{file_name}", self.raw.draw(patient).image, mode)

    def annotate(self, image: int, category: int, segmentation: Any) -> None:
        entry = {
            "id": next(self.ids),
            "image_id": image,
            "category_id": category,
            "segmentation": segmentation,
            "area": 1.0,
            "bbox": [0.0, 0.0, 1.0, 1.0],
            "iscrowd": 0,
            "attributes": {"occluded": False},
        }
        self.annotations.append(entry)

    def add(self, file_name: str, patient: int) -> None:
        """Write an image and its annotations."""
        drawn = self.raw.draw(patient)
        self.save(file_name, patient)
        image = self.list_image(file_name)
        if self.subset == "stenosis":
            for stenosis in drawn.stenoses:
                self.annotate(image, STENOSIS, mask_polygons(stenosis.mask))
        else:
            for label in np.unique(drawn.segments[drawn.segments > 0]):
                self.annotate(image, int(label), mask_polygons(drawn.segments == label))

    def text(self) -> str:
        content = {"images": self.images[::-1], "annotations": self.annotations}
        if self.categories:
            content["categories"] = self.categories
        return json.dumps({"info": {}, "licenses": [], **content})


def _syntax_train_defects(folder: _Folder, skipped: Counter[str]) -> None:
    side = folder.raw.size
    first, second, third = folder.images[:3]
    corner = [0.0, 0.0, 2.0, 0.0, 2.0, 2.0, 0.0, 2.0]
    for reason, polygon in (
        ("polygon with fewer than 3 points", [1.0, 1.0, 5.0, 5.0]),
        ("polygon with an odd number of coordinates", [1.0, 1.0, 5.0, 5.0, 9.0, 1.0, 4.0]),
        ("polygon with out-of-range coordinates", [1.0, 1.0, float("nan"), 5.0, 9.0, 1.0]),
        ("polygon with out-of-range coordinates", [1.0, 1.0, 1e300, 5.0, 9.0, 1.0]),
        ("polygon is not a list of numbers", [1.0, 1.0, None, 5.0, 9.0, 1.0]),
        ("polygon with numbers as text", [1.0, 1.0, "5", 5.0, 9.0, 1.0]),
        ("polygon of zero area", [1.0, 1.0, 5.0, 5.0, 9.0, 9.0]),
        ("polygon smaller than a pixel", [5.6, 1.0, 6.4, 1.0, 6.4, 9.0]),
        ("polygon in normalised coordinates, not pixels", [0.1, 0.2, 0.3, 0.2, 0.3, 0.4]),
        ("polygon clipped to the image", [value - 1 for value in corner]),
        ("polygon outside the image", [value + side for value in corner]),
    ):
        folder.annotate(first["id"], 5, [polygon])
        skipped[reason] += 1
    for reason, image, category, segmentation in (
        ("annotation without a polygon", first["id"], 5, []),
        ("annotation of an unknown image", 9999, 5, [corner]),
        ("annotation of an unknown category", first["id"], 99, [corner]),
        ("annotation of another task's category", first["id"], STENOSIS, [corner]),
        ("category id as text", first["id"], "5", [corner]),
        ("damaged annotation entry", "41", 5, [corner]),
        ("damaged annotation entry", first["id"], 5, "corner"),
        ("damaged run lengths", first["id"], 5, {"size": [side, side], "counts": [1, 2]}),
        ("run lengths for a different size", first["id"], 5, {"size": [1, 2], "counts": [2]}),
    ):
        folder.annotate(image, category, segmentation)
        skipped[reason] += 1
    folder.annotations.append("not an annotation")
    # An id used twice, on two images: both must keep their own polygons.
    of_first, of_second = (
        next(a for a in folder.annotations if a["image_id"] == image["id"])
        for image in (first, second)
    )
    of_second["id"] = of_first["id"]
    third["file_name"] = f"images/{third['file_name']}"
    folder.images[3]["height"] = 2 * side
    folder.list_image(folder.images[4]["file_name"], number=777)

    folder.add("91.png", 91)
    folder.raw.write(f"{folder.path}/images/91.png", b"")
    # A damaged entry may belong to any image, so that none is known to be empty.
    folder.list_image("97.png")
    for name, patient in (("97.png", 97), ("94.png", 94), ("95.png", 95), ("96.png", 95)):
        folder.save(name, patient)
    for name in ("93.png", "../91.png", "/etc/hostname"):
        folder.list_image(name)
    for name in ("95.png", "96.png"):
        folder.list_image(name, number=555)
    folder.images.append({"id": 5.5, "file_name": "97.png"})
    skipped.update(
        {
            "damaged annotation entry": 1,
            "duplicate annotation id": 1,
            "listed size differs from the image": 1,
            "duplicate image entry": 1,
            "empty file": 1,
            "no usable annotation": 1,
            "listed image missing": 1,
            "unlisted image": 1,
            "file name points outside the folder": 2,
            "duplicate image id": 2,
            "damaged image entry": 1,
        }
    )


def _syntax_val_defects(folder: _Folder, skipped: Counter[str]) -> None:
    # The labels as run lengths, as some tools export them.
    first, second = (image["id"] for image in folder.images)
    folder.annotations = [a for a in folder.annotations if a["image_id"] != first]
    segments = folder.raw.draw(FRAMES["train"]).segments
    for label in np.unique(segments[segments > 0]):
        folder.annotate(first, int(label), run_lengths(segments == label))
    # And polygons nested as by other tools.
    for entry in (a for a in folder.annotations if a["image_id"] == second):
        if len(entry["segmentation"]) == 1:
            numbers = entry["segmentation"][0]
            points = [list(point) for point in zip(numbers[::2], numbers[1::2])]
            entry["segmentation"] = numbers if entry["category_id"] % 2 else points


def _syntax_test_defects(folder: _Folder, skipped: Counter[str]) -> None:
    folder.categories = []
    _add_empty_image(folder, skipped)
    image = folder.list_image("91.png")
    folder.save("91.png", 91)
    folder.annotate(image, STENOSIS, [[0.0, 0.0, 5.0, 0.0, 5.0, 5.0]])
    skipped.update(
        ["no list of categories", "annotation of another task's category", "no usable annotation"]
    )
    folder.raw.frames["test"] += 1


def _add_empty_image(folder: _Folder, skipped: Counter[str]) -> None:
    folder.list_image("92.png")
    folder.save("92.png", 92)
    skipped["image without an annotation"] += 1


def _stenosis_train_defects(folder: _Folder, skipped: Counter[str]) -> None:
    # As in the published file: the ids restart somewhere in the middle.
    half = len(folder.annotations) // 2
    for entry in folder.annotations[half:]:
        entry["id"] -= half
        skipped["duplicate annotation id"] += entry["id"] <= half
    folder.add("91.png", next(patients_with_stenoses(folder.raw)))
    folder.annotations[-1]["id"] = 10_000
    truncate(folder.raw.root / folder.path / "images" / "91.png")
    skipped["damaged image"] += 1


def _stenosis_val_defects(folder: _Folder, skipped: Counter[str]) -> None:
    _add_empty_image(folder, skipped)
    folder.raw.frames["val"] += 1


def _stenosis_test_defects(folder: _Folder, skipped: Counter[str]) -> None:
    folder.annotate(folder.images[0]["id"], 5, [[1.0, 1.0, 9.0, 1.0, 5.0, 9.0]])
    skipped["annotation of another task's category"] += 1


_DEFECTS = {
    ("syntax", "train"): _syntax_train_defects,
    ("syntax", "val"): _syntax_val_defects,
    ("syntax", "test"): _syntax_test_defects,
    ("stenosis", "train"): _stenosis_train_defects,
    ("stenosis", "val"): _stenosis_val_defects,
    ("stenosis", "test"): _stenosis_test_defects,
}


def write_subset(raw: RawDataset, subset: str, places: Places = PUBLISHED) -> None:
    """Write one subset; the counts are those of a reader of its tasks."""
    patients = patients_with_stenoses(raw) if subset == "stenosis" else itertools.count()
    numbered = enumerate(patients, start=1)
    for split, count in FRAMES.items():
        path, _, file = places[subset, split].rpartition("/")
        folder = _Folder(raw, subset, path)
        for number, patient in itertools.islice(numbered, count):
            folder.add(f"{number}.png", patient)
        raw.frames[split] += count
        if raw.defects:
            _DEFECTS[subset, split](folder, raw.skipped)
            raw.clutter(f"{path}/images")
            raw.clutter(f"{path}/annotations")
            if split == "val":
                file = file.upper()
        raw.write(f"{path}/annotations/{file}", folder.text())


def write_arcade(raw: RawDataset, places: Places = PUBLISHED) -> None:
    """Both subsets of ARCADE; the counts are those of the syntax subset."""
    write_subset(raw, "syntax", places)
    write_subset(replace(raw, frames=Counter(), skipped=Counter()), "stenosis", places)
