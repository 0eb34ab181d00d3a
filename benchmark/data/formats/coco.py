"""Segmentations in COCO's JSON format (Lin et al., ECCV 2014), read without trusting any of it.

Annotations are grouped by `image_id` here. Their own ids are only counted, never used: ARCADE's
are not unique, and a look-up by annotation id then returns the outlines of another image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.data.formats.annotations import class_name, is_whole_number, read_outline
from benchmark.data.formats.list_files import name_key, plain_name, read_json_object
from benchmark.errors import InputError

Add = Callable[[str, str], None]


@dataclass(frozen=True)
class COCOShape:
    """What one annotation outlines: polygons, and run lengths with the size they are for.

    Attributes:
        category: name of the category.
        polygons: flat lists x0, y0, x1, y1, … of at least three points, finite.
        runs: run lengths, H·W together, or None.
        size: height and width that the run lengths are for, or None.
    """

    category: str
    polygons: tuple[tuple[float, ...], ...] = ()
    runs: tuple[int, ...] | None = None
    size: tuple[int, int] | None = None


@dataclass
class COCOImage:
    """An image that the file lists: plain file name, claimed height and width, its shapes.

    `empty` is whether the image is known to show nothing: no annotation is of it, and none that
    might be of it is damaged. `certain` is False where the image shares its id with another file,
    so that nothing is known about it.
    """

    name: str
    size: tuple[Any, Any]
    shapes: list[COCOShape] = field(default_factory=list)
    empty: bool = True
    certain: bool = True


def read_coco(
    path: Path, where: str, known_categories: Mapping[int, str], add: Add
) -> dict[str, COCOImage]:
    """Read one annotation file.

    Args:
        path: the JSON file.
        where: how to call the file in the report.
        known_categories: id → name, for a file without a usable list of categories.
        add: called with (reason, where) for everything that is passed over or worth a note.

    Returns:
        `name_key` of the file name → what is listed for it. A file name listed twice under two ids
        has the annotations of both; an id given to two files says nothing about either.

    Raises:
        InputError: the file is missing, too large or damaged, or has no images or annotations.
    """
    content = read_json_object(path)
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list):
            raise InputError(f"{path}: no list {key!r}; this is not a COCO annotation file")
    by_id, listed = _images(content["images"], where, add)
    categories = _categories(content.get("categories"), where, known_categories, add)
    seen: set[Any] = set()
    lost = False
    for position, entry in enumerate(content["annotations"]):
        here = f"{where}: annotation {position}"
        if not isinstance(entry, dict) or not is_whole_number(entry.get("image_id")):
            add("damaged annotation entry", here)
            lost = True
            continue
        own_id = entry.get("id")
        if is_whole_number(own_id):
            if own_id in seen:
                add("annotation id twice", f"{here} (id {own_id})")
            seen.add(own_id)
        if entry["image_id"] not in by_id:
            add("annotation of an unknown image", here)
            continue
        image = by_id[entry["image_id"]]
        if image is None:
            continue  # an id with two files, counted already
        image.empty = False
        category = entry.get("category_id")
        if isinstance(category, str):
            add("category id as text", f"{here} ({category[:200]})")
        elif not is_whole_number(category) or category not in categories:
            add("annotation of an unknown category", here)
        else:
            shape = _shape(categories[category], entry.get("segmentation"), here, add)
            image.shapes += [shape] if shape else []
    for image in listed.values():
        image.empty &= not lost
    return listed


def _images(
    entries: Sequence[Any], where: str, add: Add
) -> tuple[dict[int, COCOImage | None], dict[str, COCOImage]]:
    """Id → image (None where an id names two files), and `name_key` of the file name → image."""
    by_id: dict[int, COCOImage | None] = {}
    listed: dict[str, COCOImage] = {}
    for position, entry in enumerate(entries):
        here = f"{where}: image {position}"
        if (
            not isinstance(entry, dict)
            or not is_whole_number(entry.get("id"))
            or not isinstance(entry.get("file_name"), str)
        ):
            add("damaged image entry", here)
            continue
        name = plain_name(entry["file_name"], here)
        if name is None:
            add("file name leaves the folder", f"{here} ({entry['file_name'][:200]})")
            continue
        key, number = name_key(name), entry["id"]
        if key in listed:
            add("image listed twice", f"{where}: {name}")
        image = listed.setdefault(key, COCOImage(name, (entry.get("height"), entry.get("width"))))
        if number in by_id and by_id[number] is not image:
            for other in (by_id[number], image):
                if other is not None and other.certain:
                    add("image id twice", f"{where}: {other.name}")
                    other.certain = False
            by_id[number] = None
        else:
            by_id[number] = image
    return by_id, listed


def _categories(entries: Any, where: str, known: Mapping[int, str], add: Add) -> Mapping[int, str]:
    if not isinstance(entries, list) or not entries:
        add("no list of categories", where)
        return known
    names: dict[int, str] = {}
    for position, entry in enumerate(entries):
        here = f"{where}: category {position}"
        name = class_name(entry.get("name")) if isinstance(entry, dict) else None
        if name is None or not is_whole_number(entry.get("id")):
            add("damaged category entry", here)
        elif names.setdefault(entry["id"], name) != name:
            add("category id twice", here)
    return names


def _shape(category: str, segmentation: Any, here: str, add: Add) -> COCOShape | None:
    if isinstance(segmentation, dict):
        return _run_lengths(category, segmentation, here, add)
    polygons, reasons = read_outline(segmentation or [])
    for reason in reasons:
        add(reason, here)
    return COCOShape(category, tuple(polygons)) if polygons else None


def _run_lengths(category: str, content: dict[str, Any], here: str, add: Add) -> COCOShape | None:
    size, counts = content.get("size"), content.get("counts")
    if isinstance(counts, str):
        counts = decode_run_lengths(counts)
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(is_whole_number(side) and side > 0 for side in size)
        or not isinstance(counts, list)
        or not all(is_whole_number(run) and run >= 0 for run in counts)
        or sum(counts) != math.prod(size)
    ):
        add("damaged run lengths", here)
        return None
    return COCOShape(category, runs=tuple(counts), size=(size[0], size[1]))


def decode_run_lengths(text: str) -> list[int] | None:
    """Run lengths from COCO's compressed string, or None where it is damaged.

    Each character holds five bits of a number, low ones first, and a sixth that says whether more
    follow; from the fourth number on, the difference to the one two places before is stored
    (``rleFrString`` of https://github.com/cocodataset/cocoapi).
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
