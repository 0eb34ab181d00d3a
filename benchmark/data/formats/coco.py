"""Segmentations and boxes in COCO's JSON format (Lin et al., ECCV 2014), read as untrusted input.

Annotations are grouped by `image_id`. Annotation ids are checked for duplicates, but never used as
keys: ARCADE's are not unique, and a lookup by id returns polygons of another image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.data.formats.annotations import (
    MAX_COORDINATE,
    Box,
    Polygon,
    class_name,
    is_integer,
    parse_box,
    parse_polygons,
    polygon_note,
)
from benchmark.data.formats.list_files import base_name, name_key, read_json_object
from benchmark.data.frame import UnreadableFrame
from benchmark.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from benchmark.data.formats.headers import Header

_MAX_MASK_BYTES = 1 << 28

Report = Callable[[str, str], None]


@dataclass(frozen=True)
class COCOShape:
    """One annotation: polygons or run lengths, or a box.

    Attributes:
        category: category name.
        polygons: x0, y0, x1, y1, … of at least three points, finite.
        runs, size: run lengths that sum to H·W, and (H, W); or None.
        box: x0, y0, x1, y1, only where boxes are read.
    """

    category: str
    polygons: tuple[tuple[float, ...], ...] = ()
    runs: tuple[int, ...] | None = None
    size: tuple[int, int] | None = None
    box: Box | None = None


@dataclass
class COCOImage:
    """An image entry of the file.

    Attributes:
        name: file name without folders, or with them where paths are read.
        size: claimed height and width.
        shapes: its annotations.
        empty: whether the image is known to contain no object: it has no annotation, and the file
            has no damaged one that might belong to it.
        unusable: number of its annotations that are not among `shapes`.
        unambiguous: False if the image shares its id with another file, which makes its
            annotations unusable.
    """

    name: str
    size: tuple[Any, Any]
    shapes: list[COCOShape] = field(default_factory=list)
    empty: bool = True
    unusable: int = 0
    unambiguous: bool = True


def read_coco(
    path: Path, where: str, known_categories: Mapping[int, str], report: Report
) -> dict[str, COCOImage]:
    """Read one annotation file, see `parse_coco`.

    Raises:
        InputError: it cannot be read, or is not a COCO file.
    """
    content = read_json_object(path)
    if missing := missing_list(content):
        raise InputError(f"{path}: no list {missing!r}; this is not a COCO annotation file")
    return parse_coco(content, where, known_categories, report)


def missing_list(content: Mapping[str, Any]) -> str | None:
    """The list that a JSON object lacks to be a COCO file, or None."""
    keys = ("images", "annotations")
    return next((key for key in keys if not isinstance(content.get(key), list)), None)


def parse_coco(
    content: Mapping[str, Any],
    where: str,
    known_categories: Mapping[int, str],
    report: Report,
    paths: bool = False,
    boxes: bool = False,
) -> dict[str, COCOImage]:
    """The images of a COCO file: `name_key` of a file name → its entry.

    A file name listed under two ids has the annotations of both; an id shared by two files is
    ambiguous.

    Args:
        content: the JSON object, without a `missing_list`.
        where: name of the file in the report.
        known_categories: id → name, for files without a usable list of categories.
        report: called with (reason, where) for everything skipped or worth noting.
        paths: distinguish images of the same name in several folders by their listed paths.
        boxes: read the boxes instead of the outlines.
    """
    by_id, by_name = _read_images(content["images"], where, report, paths)
    categories = read_categories(content.get("categories"), where, known_categories, report)
    read_shape = _read_box if boxes else _read_shape
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
        shape = None
        if isinstance(category, str):
            report("category id as text", f"{here} ({category[:200]})")
        elif not is_integer(category) or category not in categories:
            report("annotation of an unknown category", here)
        else:
            shape = read_shape(categories[category], entry, here, report)
        image.shapes += [shape] if shape else []
        image.unusable += shape is None
    for image in by_name.values():
        image.empty &= not any_damaged
    return by_name


def _read_images(
    entries: Sequence[Any], where: str, report: Report, paths: bool
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
        if paths:
            name = entry["file_name"].strip().replace("\\", "/")
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


def read_categories(
    entries: Any, where: str, known: Mapping[int, str], report: Report
) -> Mapping[int, str]:
    """Category id → name in lower case; `known` where the file has no list of categories."""
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


def _read_box(
    category: str, entry: Mapping[str, Any], here: str, report: Report
) -> COCOShape | None:
    sides = entry.get("bbox")
    box: Box | str = "annotation without a box"
    if entry.get("iscrowd") == 1:
        box = "region of a crowd, not a box"
    elif isinstance(sides, list) and sides:
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in sides)
        box = "damaged box"
        if numbers and len(sides) == 4 and all(abs(v) <= MAX_COORDINATE for v in sides):
            x, y, width, height = sides
            box = parse_box([str(edge) for edge in (x, y, x + width, y + height)])
    if isinstance(box, str):
        report(box, here)
        return None
    return COCOShape(category, box=box)


def _read_shape(
    category: str, entry: Mapping[str, Any], here: str, report: Report
) -> COCOShape | None:
    segmentation = entry.get("segmentation")
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


def fit_polygon(
    polygon: Polygon, image: COCOImage, size: tuple[int, int]
) -> tuple[bool, str | None]:
    """Whether a polygon can be drawn on an image of `size`, and a note on it."""
    note = polygon_note(polygon, *size)
    inside = note in (None, "polygon smaller than a pixel")
    if not inside and image.size not in ((None, None), size):
        # Clipped, it would no longer be where it was annotated.
        return False, "polygon for a different image size"
    return True, note


def shape_notes(image: COCOImage, path: Path) -> Iterator[str]:
    """Everything unusual about the outlines of the image at `path`; nothing if it is unreadable."""
    from benchmark.data.formats.headers import read_header

    header = read_header(path)
    if header is None:
        return
    size = header.annotated_size(image.size)
    if image.size not in ((None, None), size):
        yield "listed size differs from the image"
    for shape in image.shapes:
        if shape.size not in (None, size):
            yield "run lengths for a different size"
        for polygon in shape.polygons:
            _, note = fit_polygon(polygon, image, size)
            if note:
                yield note


def draw_shapes(
    image: COCOImage,
    header: Header,
    classes: int,
    class_index: Callable[[str], int | None],
) -> np.ndarray:
    """The outlines of an image, one mask for each class, upright, bool, classes×H×W.

    Args:
        image: the image and its shapes.
        header: of the image file.
        classes: number of classes.
        class_index: channel of a category; None for one that is not drawn.

    Raises:
        UnreadableFrame: the masks would be too large, or the image has annotations, and none of
            them can be used.
    """
    import numpy as np

    from benchmark.data.formats.orientation import orient_masks
    from benchmark.data.formats.polygons import draw_polygon, draw_runs

    size = header.annotated_size(image.size)
    if classes * size[0] * size[1] > _MAX_MASK_BYTES:
        raise UnreadableFrame("image too large for its masks")
    masks = np.zeros((classes, *size), dtype=bool)
    for shape in image.shapes:
        index = class_index(shape.category)
        if index is None:
            continue
        for polygon in shape.polygons:
            if fit_polygon(polygon, image, size)[0]:
                draw_polygon(masks[index], polygon)
        if shape.runs is not None and shape.size == size:
            draw_runs(masks[index], shape.runs)
    if not image.empty and not masks.any():
        raise UnreadableFrame("no usable annotation")
    return masks if size == header.size else orient_masks(masks, header.orientation)
