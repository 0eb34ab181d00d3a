"""Checking a task folder: every image, label and box that its manifest lists."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.checks.findings import (
    MAX_VESSEL_FRACTION,
    Findings,
    FrameEntry,
    check_entries,
    check_files,
    is_constant,
    warn_if_all,
)
from benchmark.data.formats.coco import COCOImage, read_coco
from benchmark.data.formats.images import read_grayscale
from benchmark.data.formats.list_files import read_json_object
from benchmark.data.formats.polygons import draw_runs
from benchmark.data.frame import UnreadableFrame
from benchmark.data.image_hashes import pixel_sha256
from benchmark.data.progress import progress_bar
from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.coco import COCOFile, box_annotations
from benchmark.data.tasks.folder import MANIFEST, REPORT, TaskItem
from benchmark.errors import InputError
from benchmark.files import sha256_bytes

MasksByName = dict[str, COCOImage]


def check_task(path: str | os.PathLike[str], progress: bool = True) -> Findings:
    """Check every listed frame of a task and its annotations.

    An overlap of two splits (a patient or an image in both) is an error, or a warning if the split
    was published by the authors of the data.

    Raises:
        InputError: not a task folder.
    """
    folder = TaskFolder.open(path, complete=False)
    findings = Findings(folder.path, folder.kind, folder.split_hash)
    entries = [
        FrameEntry(split, item["path"], item["group"], item["sha256_image"])
        for split, items in folder.splits.items()
        for item in items
    ]
    check_entries(findings, entries, strict=not folder.manifest["split"]["official"])
    check_item = {
        "segmentation": _check_masks,
        "detection": _check_boxes,
        "denoising": _check_degraded,
    }[folder.kind]
    with progress_bar(f"check {folder.path.name}", len(entries), 0, progress) as advance:
        for split, items in folder.splits.items():
            coco_masks = _annotations(folder, split, findings)
            for item in items:
                advance(1)
                check_item(folder, split, item, coco_masks, findings)
    warn_if_all(findings, "frames without a label", "no frame has a label")
    warn_if_all(findings, "frames without a box", "no frame has a box")
    listed = {MANIFEST, REPORT, *(f.relative_to(folder.path).as_posix() for f in folder.files())}
    check_files(findings, listed)
    return findings


def _read(file: Path, what: str, item: TaskItem, findings: Findings) -> np.ndarray | None:
    """An image of the listed size; None, after reporting an error, if there is none."""
    try:
        pixels = read_grayscale(file)
    except UnreadableFrame as error:
        findings.error(f"{what}: {error}", findings.below(file))
        return None
    if pixels.shape != (item["height"], item["width"]):
        findings.error(f"{what}: not of the listed size", findings.below(file))
        return None
    return pixels


def _check_image(
    file: Path, what: str, item: TaskItem, key: str, findings: Findings, constant: bool = False
) -> np.ndarray | None:
    """An image with the listed hash; None, after reporting an error, if there is none."""
    pixels = _read(file, what, item, findings)
    if pixels is None:
        return None
    if is_constant(pixels) and not constant:
        findings.error(f"{what}: constant", findings.below(file))
    if pixel_sha256(pixels) != item[key]:
        findings.error(f"{what}: pixels differ from their hash", findings.below(file))
        return None
    return pixels


def _check_masks(
    folder: TaskFolder,
    split: str,
    item: TaskItem,
    coco_masks: MasksByName | None,
    findings: Findings,
) -> None:
    stem = item["stem"]
    _check_image(folder.image(split, stem), "image", item, "sha256_image", findings)
    file = folder.mask(split, stem)
    labels = _check_image(file, "mask", item, "sha256_mask", findings, constant=True)
    if labels is None:
        return
    findings.count("frames without a label", not labels.any())
    if np.count_nonzero(labels) > MAX_VESSEL_FRACTION * labels.size:
        findings.warning("mask: more than half of the frame", findings.below(file))
    if labels.max(initial=0) >= len(folder.classes):
        findings.error("mask: value is no label of a class", findings.below(file))
    elif coco_masks is not None:
        _check_channels(folder, f"{split}/{stem}", item, labels, coco_masks, findings)


def _check_channels(
    folder: TaskFolder,
    where: str,
    item: TaskItem,
    labels: np.ndarray,
    coco_masks: MasksByName,
    findings: Findings,
) -> None:
    """Compare the masks of the COCO file with their hash and the label map."""
    listed = coco_masks.get(f"{item['stem']}.png".casefold())
    names = [name.strip().casefold() for name in folder.classes[1:]]
    masks = np.zeros((len(names), *labels.shape), dtype=bool)
    for shape in listed.shapes if listed else []:
        if shape.category not in names or shape.runs is None or shape.size != labels.shape:
            findings.error("annotations: not a mask of this frame", where)
            return
        draw_runs(masks[names.index(shape.category)], shape.runs)
    if sha256_bytes(np.packbits(masks).tobytes()) != item["sha256_channels"]:
        findings.error("annotations: masks differ from their hash", where)
    expected = np.zeros_like(labels)
    for label, mask in enumerate(masks, start=1):
        expected[mask] = label
    if (expected != labels).any():
        findings.error("annotations: masks differ from the label map", where)
    findings.count("frames with overlapping classes", (masks.sum(0) > 1).any())


def _check_boxes(
    folder: TaskFolder,
    split: str,
    item: TaskItem,
    coco_masks: MasksByName | None,
    findings: Findings,
) -> None:
    stem, boxes = item["stem"], item["boxes"]
    _check_image(folder.image(split, stem), "image", item, "sha256_image", findings)
    findings.count("boxes", len(boxes))
    findings.count("frames without a box", not boxes)
    for number, box in enumerate(boxes):
        if reason := box_error(box, item["height"], item["width"], len(folder.classes)):
            findings.error(reason, f"{split}/{stem}, box {number}")
        elif min(box[2] - box[0], box[3] - box[1]) < 1:
            findings.warning("box: narrower than one pixel", f"{split}/{stem}, box {number}")


def box_error(box: Any, height: int, width: int, classes: int) -> str | None:
    """What is wrong with a box x0, y0, x1, y1, class (pixels, exclusive edges), or None."""
    if not isinstance(box, list) or len(box) != 5 or not all(map(_is_number, box)):
        return "box: not five numbers"
    x0, y0, x1, y1, label = box
    if label not in range(classes):
        return "box: no label of a class"
    # Written so that NaN fails too.
    if not (x0 < x1 and y0 < y1):
        return "box: without an area"
    if not (x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height):
        return "box: reaches beyond the image"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_degraded(
    folder: TaskFolder,
    split: str,
    item: TaskItem,
    coco_masks: MasksByName | None,
    findings: Findings,
) -> None:
    stem = item["stem"]
    clean = _check_image(folder.clean(split, stem), "clean", item, "sha256_image", findings)
    file = folder.image(split, stem)
    degraded = _check_image(file, "image", item, "sha256_degraded", findings)
    if clean is not None and degraded is not None and (clean == degraded).all():
        findings.error("image: not degraded", findings.below(file))


def _annotations(folder: TaskFolder, split: str, findings: Findings) -> MasksByName | None:
    """Masks from the COCO file of a split; None if it has none. Detection files are checked."""
    file = folder.coco(split)
    if file is None:
        return None
    try:
        if folder.kind == "detection":
            _check_coco_boxes(folder, split, read_json_object(file), findings)
            return None
        return _read_coco_masks(folder, split, file, findings)
    except InputError as error:
        findings.error("annotations: cannot be read", str(error))
        return {} if folder.kind == "segmentation" else None


def _read_coco_masks(folder: TaskFolder, split: str, file: Path, findings: Findings) -> MasksByName:
    def report(reason: str, where: str) -> None:
        findings.error(f"annotations: {reason}", where)

    names = dict(enumerate(folder.classes[1:], start=1))
    coco_masks = read_coco(file, file.relative_to(folder.path).as_posix(), names, report)
    _compare_names(folder, split, set(coco_masks), report)
    return coco_masks


def _compare_names(
    folder: TaskFolder, split: str, found: set[str], report: Callable[[str, str], None]
) -> None:
    wanted = {f"{item['stem']}.png".casefold() for item in folder.splits[split]}
    for name in sorted(wanted - found):
        report("frame is missing", f"{split}/{name}")
    for name in sorted(found - wanted):
        report("frame is not in the manifest", f"{split}/{name}")


def _check_coco_boxes(
    folder: TaskFolder, split: str, content: dict[str, Any], findings: Findings
) -> None:
    """Compare the annotation file with the one that the boxes of the manifest give."""
    expected = COCOFile(folder.classes)
    for item in folder.splits[split]:
        boxes = item["boxes"]
        if any(box_error(box, item["height"], item["width"], len(folder.classes)) for box in boxes):
            return  # reported frame by frame
        annotations = box_annotations(np.array(boxes, dtype=np.float64).reshape(-1, 5))
        expected.add(item["stem"], item["height"], item["width"], annotations)
    for key, entries in expected.content.items():
        if content.get(key) != entries:
            findings.error(f"annotations: {key} differ from the manifest", f"{split}.json")
