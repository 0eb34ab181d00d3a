"""Segmentations in COCO's JSON format (Lin et al., ECCV 2014), read as untrusted input.

Annotations are grouped by `image_id`. Annotation ids are checked for duplicates, but never used as
keys: ARCADE's are not unique, and a lookup by id returns polygons of another image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.data.formats.annotations import class_name, is_integer, parse_polygons
from benchmark.data.formats.list_files import base_name, name_key, read_json_object
from benchmark.errors import InputError

Report = Callable[[str, str], None]


@dataclass(frozen=True)
class COCOShape:
    """One annotation: polygons or run lengths.

    Attributes:
        category: category name.
        polygons: x0, y0, x1, y1, … of at least three points, finite.
        runs, size: run lengths that sum to H·W, and (H, W); or None.
    """

    category: str
    polygons: tuple[tuple[float, ...], ...] = ()
    runs: tuple[int, ...] | None = None
    size: tuple[int, int] | None = None


@dataclass
class COCOImage:
    """An image entry of the file.

    Attributes:
        name: file name without folders.
        size: claimed height and width.
        shapes: its annotations.
        empty: whether the image is known to contain no object: it has no annotation, and the file
            has no damaged one that might belong to it.
        unambiguous: False if the image shares its id with another file, which makes its
            annotations unusable.
    """

    name: str
    size: tuple[Any, Any]
    shapes: list[COCOShape] = field(default_factory=list)
    empty: bool = True
    unambiguous: bool = True


def read_coco(
    path: Path, where: str, known_categories: Mapping[int, str], report: Report
) -> dict[str, COCOImage]:
    """Read one annotation file: `name_key` of a file name → its entry.

    A file name listed under two ids has the annotations of both; an id shared by two files is
    ambiguous.

    Args:
        path: the JSON file.
        where: name of the file in the report.
        known_categories: id → name, for files without a usable list of categories.
        report: called with (reason, where) for everything skipped or worth noting.
    """
    content = read_json_object(path)
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list):
            raise InputError(f"{path}: no list {key!r}; this is not a COCO annotation file")
    by_id, by_name = _read_images(content["images"], where, report)
    categories = _read_categories(content.get("categories"), where, known_categories, report)
    seen: set[Any] = set()
    any_damaged = False
    for position, entry in enumerate(content["annotations"]):
        here = f"{where}: annotation {position}"
        if not isinstance(entry, dict) or not is_integer(entry.get("image_id")):
            report("damaged annotation entry", here)
            any_damaged = True
            continue
        own_id = entry.get("id")
        if is_integer(own_id):
            if own_id in seen:
                report("duplicate annotation id", f"{here} (id {own_id})")
            seen.add(own_id)
        if entry["image_id"] not in by_id:
            report("annotation of an unknown image", here)
            continue
        image = by_id[entry["image_id"]]
        if image is None:
            continue  # ambiguous id, already reported
        image.empty = False
        category = entry.get("category_id")
        if isinstance(category, str):
            report("category id as text", f"{here} ({category[:200]})")
        elif not is_integer(category) or category not in categories:
            report("annotation of an unknown category", here)
        else:
            shape = _read_shape(categories[category], entry.get("segmentation"), here, report)
            image.shapes += [shape] if shape else []
    for image in by_name.values():
        image.empty &= not any_damaged
    return by_name


def _read_images(
    entries: Sequence[Any], where: str, report: Report
) -> tuple[dict[int, COCOImage | None], dict[str, COCOImage]]:
    """Id → image (None if ambiguous), and `name_key` of the file name → image."""
    by_id: dict[int, COCOImage | None] = {}
    by_name: dict[str, COCOImage] = {}
    for position, entry in enumerate(entries):
        here = f"{where}: image {position}"
        if (
            not isinstance(entry, dict)
            or not is_integer(entry.get("id"))
            or not isinstance(entry.get("file_name"), str)
        ):
            report("damaged image entry", here)
            continue
        name = base_name(entry["file_name"], here)
        if name is None:
            report("file name points outside the folder", f"{here} ({entry['file_name'][:200]})")
            continue
        key, number = name_key(name), entry["id"]
        if key in by_name:
            report("duplicate image entry", f"{where}: {name}")
        image = by_name.setdefault(key, COCOImage(name, (entry.get("height"), entry.get("width"))))
        if number in by_id and by_id[number] is not image:
            for other in (by_id[number], image):
                if other is not None and other.unambiguous:
                    report("duplicate image id", f"{where}: {other.name}")
                    other.unambiguous = False
            by_id[number] = None
        else:
            by_id[number] = image
    return by_id, by_name


def _read_categories(
    entries: Any, where: str, known: Mapping[int, str], report: Report
) -> Mapping[int, str]:
    if not isinstance(entries, list) or not entries:
        report("no list of categories", where)
        return known
    names: dict[int, str] = {}
    for position, entry in enumerate(entries):
        here = f"{where}: category {position}"
        name = class_name(entry.get("name")) if isinstance(entry, dict) else None
        if name is None or not is_integer(entry.get("id")):
            report("damaged category entry", here)
        elif names.setdefault(entry["id"], name) != name:
            report("duplicate category id", here)
    return names


def _read_shape(category: str, segmentation: Any, here: str, report: Report) -> COCOShape | None:
    if not isinstance(segmentation, dict):
        polygons, reasons = parse_polygons(segmentation or [])
        for reason in reasons:
            report(reason, here)
        return COCOShape(category, tuple(polygons)) if polygons else None
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if isinstance(counts, str):
        counts = decode_run_lengths(counts)
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(is_integer(side) and side > 0 for side in size)
        or not isinstance(counts, list)
        or not all(is_integer(run) and run >= 0 for run in counts)
        or sum(counts) != math.prod(size)
    ):
        report("damaged run lengths", here)
        return None
    return COCOShape(category, runs=tuple(counts), size=(size[0], size[1]))


def decode_run_lengths(text: str) -> list[int] | None:
    """Decode COCO's compressed run lengths; None if they are damaged.

    Each character holds five bits, least significant first, and a continuation bit; from the fourth
    number on, the difference to the number two places before is stored (``rleFrString`` of
    https://github.com/cocodataset/cocoapi).
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return None if shift else runs
