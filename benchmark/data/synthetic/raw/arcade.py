"""ARCADE, as published and as distributed for its challenge, with synthetic frames."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from benchmark.data.sources.arcade import SEGMENTS
from benchmark.data.synthetic.raw.layout import Canvas, RawLayout, truncate
from benchmark.data.synthetic.raw.stenosis import patients_with_stenoses

FRAMES = {"train": 5, "val": 2, "test": 3}
"""Frames of each subset and split; images N.png are numbered consecutively over the splits."""

STENOSIS = len(SEGMENTS) + 1
"""Id of the category; the segments have 1 to 25, in the order of their names."""

Places = Mapping[tuple[str, str], tuple[str, str]]

PUBLISHED: Places = {
    (subset, split): (f"arcade/{subset}/{split}", f"{split}.json")
    for subset in ("syntax", "stenosis")
    for split in FRAMES
}
"""(subset, split) → folder, and name of the annotation file."""

_PHASE, _FINAL = "arcade_challenge_datasets/dataset_phase_1", "dataset_final_phase"
CHALLENGE: Places = {
    ("syntax", "train"): (f"{_PHASE}/segmentation_dataset/seg_train", "seg_train.json"),
    ("syntax", "val"): (f"{_PHASE}/segmentation_dataset/seg_val", "seg_val.json"),
    ("stenosis", "train"): (f"{_PHASE}/stenosis_dataset/sten_train", "sten_train.json"),
    ("stenosis", "val"): (f"{_PHASE}/stenosis_dataset/sten_val", "sten_val.json"),
    ("syntax", "test"): (
        f"arcade_challenge_datasets/{_FINAL}/test_case_segmentation",
        "instances_default.json",
    ),
    ("stenosis", "test"): (
        f"arcade_challenge_datasets/{_FINAL}/test_cases_stenosis",
        "instances_default.json",
    ),
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
    return {
        "size": list(mask.shape),
        "counts": np.diff(edges, prepend=0, append=flat.size).tolist(),
    }


class _Listing:
    """An annotation file being assembled. Image ids are unrelated to file names."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Any] = []
        self.annotations: list[Any] = []
        self.ids = itertools.count(1)
        self.categories = [
            {"id": number, "name": name, "supercategory": ""}
            for number, name in enumerate((*SEGMENTS, "stenosis"), start=1)
        ]

    def image(self, file_name: str, number: int | None = None, height: int | None = None) -> int:
        number = len(self.images) + 41 if number is None else number
        sides = {"height": height or self.size, "width": self.size}
        self.images.append({"id": number, "file_name": file_name, **sides})
        return number

    def annotate(self, image: int, category: int, segmentation: Any) -> dict[str, Any]:
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
        return entry

    def text(self) -> str:
        content = {"images": self.images[::-1], "annotations": self.annotations}
        if self.categories:
            content["categories"] = self.categories
        return json.dumps({"info": {}, "licenses": [], **content})


class _SubsetWriter:
    """Writes one subset."""

    def __init__(self, canvas: Canvas, subset: str, places: Places) -> None:
        self.canvas = canvas
        self.subset = subset
        self.places = {split: places[subset, split] for split in FRAMES}
        self.layout = RawLayout(canvas.root)
        self.skipped: Counter[str] = self.layout.skipped

    def write(self) -> RawLayout:
        patients = self.patients()
        for split, count in FRAMES.items():
            folder, file = self.places[split]
            listing = _Listing(self.canvas.size)
            for _ in range(count):
                number, patient = next(patients)
                self.frame(listing, folder, f"{number}.png", patient)
                self.layout.frames[split] += 1
            if self.canvas.defects:
                getattr(self, f"add_defects_{self.subset}_{split}")(listing, folder)
                self.canvas.clutter(f"{folder}/images")
                self.canvas.clutter(f"{folder}/annotations")
                if split == "val":
                    file = file.upper()
            self.canvas.write(f"{folder}/annotations/{file}", listing.text())
        return self.layout

    def patients(self) -> Any:
        """Number of the image, and the patient it shows."""
        chosen = patients_with_stenoses(self.canvas) if self.subset == "stenosis" else None
        return enumerate(chosen or itertools.count(), start=1)

    def frame(self, listing: _Listing, folder: str, name: str, patient: int) -> int:
        drawn = self.canvas.draw(patient)
        image = listing.image(name)
        if self.subset == "stenosis":
            self.canvas.save(f"{folder}/images/{name}", drawn.image, mode="RGB")
            for stenosis in drawn.stenoses:
                listing.annotate(image, STENOSIS, mask_polygons(stenosis.mask))
        else:
            self.canvas.save(f"{folder}/images/{name}", drawn.image)
            for label in np.unique(drawn.segments[drawn.segments > 0]):
                listing.annotate(image, int(label), mask_polygons(drawn.segments == label))
        return image

    def add_defects_syntax_train(self, listing: _Listing, folder: str) -> None:
        side = self.canvas.size
        first, second, third = (listing.images[index] for index in range(3))
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
            listing.annotate(first["id"], 5, [polygon])
            self.skipped[reason] += 1
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
            listing.annotate(image, category, segmentation)
            self.skipped[reason] += 1
        listing.annotations.append("not an annotation")
        self.skipped["damaged annotation entry"] += 1
        # An id used twice, on two images: both must keep their own polygons.
        of_first, of_second = (
            next(a for a in listing.annotations if a["image_id"] == image["id"])
            for image in (first, second)
        )
        of_second["id"] = of_first["id"]
        self.skipped["duplicate annotation id"] += 1
        third["file_name"] = f"images/{third['file_name']}"
        listing.images[3]["height"] = 2 * side
        self.skipped["listed size differs from the image"] += 1
        listing.image(listing.images[4]["file_name"], number=777)
        self.skipped["duplicate image entry"] += 1

        self.frame(listing, folder, "91.png", 91)
        self.canvas.write(f"{folder}/images/91.png", b"")
        self.skipped["empty file"] += 1
        # A damaged entry may belong to any image, so that none is known to be empty.
        listing.image("97.png")
        self.canvas.save(f"{folder}/images/97.png", self.canvas.draw(97).image)
        self.skipped["no usable annotation"] += 1
        listing.image("93.png")
        self.skipped["listed image missing"] += 1
        self.canvas.save(f"{folder}/images/94.png", self.canvas.draw(94).image)
        self.skipped["unlisted image"] += 1
        listing.image("../91.png")
        listing.image("/etc/hostname")
        self.skipped["file name points outside the folder"] += 2
        for name in ("95.png", "96.png"):
            listing.image(name, number=555)
            self.canvas.save(f"{folder}/images/{name}", self.canvas.draw(95).image)
        self.skipped["duplicate image id"] += 2
        listing.images.append({"id": 5.5, "file_name": "97.png"})
        self.skipped["damaged image entry"] += 1

    def add_defects_syntax_val(self, listing: _Listing, folder: str) -> None:
        # The labels as run lengths, as some tools export them.
        image = listing.images[0]["id"]
        listing.annotations = [a for a in listing.annotations if a["image_id"] != image]
        segments = self.canvas.draw(FRAMES["train"]).segments
        for label in np.unique(segments[segments > 0]):
            listing.annotate(image, int(label), run_lengths(segments == label))
        # And polygons nested as by other tools.
        for entry in (a for a in listing.annotations if a["image_id"] == listing.images[1]["id"]):
            if len(entry["segmentation"]) == 1:
                numbers = entry["segmentation"][0]
                points = [list(point) for point in zip(numbers[::2], numbers[1::2])]
                entry["segmentation"] = numbers if entry["category_id"] % 2 else points

    def add_defects_syntax_test(self, listing: _Listing, folder: str) -> None:
        listing.categories = []
        self.skipped["no list of categories"] += 1
        listing.image("92.png")
        self.canvas.save(f"{folder}/images/92.png", self.canvas.draw(92).image)
        self.skipped["image without an annotation"] += 1
        self.layout.frames["test"] += 1
        listing.image("91.png")
        self.canvas.save(f"{folder}/images/91.png", self.canvas.draw(91).image)
        listing.annotate(listing.images[-1]["id"], STENOSIS, [[0.0, 0.0, 5.0, 0.0, 5.0, 5.0]])
        self.skipped["annotation of another task's category"] += 1
        self.skipped["no usable annotation"] += 1

    def add_defects_stenosis_train(self, listing: _Listing, folder: str) -> None:
        # As in the published file: the ids restart somewhere in the middle.
        half = len(listing.annotations) // 2
        for entry in listing.annotations[half:]:
            entry["id"] -= half
            self.skipped["duplicate annotation id"] += entry["id"] <= half
        self.frame(listing, folder, "91.png", next(patients_with_stenoses(self.canvas)))
        listing.annotations[-1]["id"] = 10_000
        truncate(self.canvas.root / folder / "images" / "91.png")
        self.skipped["damaged image"] += 1

    def add_defects_stenosis_val(self, listing: _Listing, folder: str) -> None:
        listing.image("92.png")
        self.canvas.save(f"{folder}/images/92.png", self.canvas.draw(92).image, mode="RGB")
        self.skipped["image without an annotation"] += 1
        self.layout.frames["val"] += 1

    def add_defects_stenosis_test(self, listing: _Listing, folder: str) -> None:
        listing.annotate(listing.images[0]["id"], 5, [[1.0, 1.0, 9.0, 1.0, 5.0, 9.0]])
        self.skipped["annotation of another task's category"] += 1


def write_subsets(canvas: Canvas, places: Places = PUBLISHED) -> dict[str, RawLayout]:
    """Write both subsets; subset → what a reader of its tasks finds."""
    return {name: _SubsetWriter(canvas, name, places).write() for name in ("syntax", "stenosis")}


def write_arcade(canvas: Canvas) -> RawLayout:
    """ARCADE as published; the counts are those of the syntax subset."""
    return write_subsets(canvas)["syntax"]


def write_arcade_challenge(canvas: Canvas) -> RawLayout:
    """ARCADE as handed out for its challenge; the counts are those of the syntax subset."""
    return write_subsets(canvas, CHALLENGE)["syntax"]
