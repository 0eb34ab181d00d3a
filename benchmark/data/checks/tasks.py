"""Checking a task folder: every image, label and box that its manifest lists."""

from __future__ import annotations

import os
from pathlib import Path

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


def check_task(path: str | os.PathLike[str], progress: bool = True) -> Findings:
    """Check every listed frame of a task and its annotations.

    An overlap of two splits (a patient or an image in both) is an error, or a warning if the
    authors of the dataset published the split.
    """
    folder = TaskFolder.open(path, complete=False)
    findings = Findings(folder.path, folder.kind, folder.split_hash)
    entries = [
        FrameEntry(split, item["path"], item["group"], item["sha256_image"])
        for split, items in folder.splits.items()
        for item in items
    ]
    check_entries(findings, entries, strict=not folder.manifest["split"]["official"])
    check = _TaskCheck(folder, findings)
    check_item = getattr(check, folder.kind)
    with progress_bar(f"check {folder.path.name}", len(entries), 0, progress) as advance:
        for split, items in folder.splits.items():
            check.annotations(split)
            for item in items:
                advance(1)
                check_item(split, item)
    warn_if_all(findings, "frames without a label", "no frame has a label")
    warn_if_all(findings, "frames without a box", "no frame has a box")
    listed = {MANIFEST, REPORT, *(f.relative_to(folder.path).as_posix() for f in folder.files())}
    check_files(findings, listed)
    return findings


class _TaskCheck:
    """Checks of one frame, in methods named by kind of task, and of the annotation files."""

    def __init__(self, folder: TaskFolder, findings: Findings) -> None:
        self.folder = folder
        self.findings = findings
        self.masks: dict[str, COCOImage] | None = None  # of the split, several classes only

    def image(
        self, file: Path, what: str, item: TaskItem, key: str, constant: bool = False
    ) -> np.ndarray | None:
        """Read an image and compare its size and hash (`key`) with the manifest; None on error."""
        where = self.findings.below(file)
        try:
            pixels = read_grayscale(file)
        except UnreadableFrame as error:
            self.findings.error(f"{what}: {error}", where)
            return None
        if pixels.shape != (item["height"], item["width"]):
            self.findings.error(f"{what}: size differs from the manifest", where)
            return None
        if is_constant(pixels) and not constant:
            self.findings.error(f"{what}: constant", where)
        if pixel_sha256(pixels) != item[key]:
            self.findings.error(f"{what}: pixels differ from their hash", where)
            return None
        return pixels

    def segmentation(self, split: str, item: TaskItem) -> None:
        stem, findings = item["stem"], self.findings
        self.image(self.folder.image(split, stem), "image", item, "sha256_image")
        file = self.folder.mask(split, stem)
        labels = self.image(file, "mask", item, "sha256_mask", constant=True)
        if labels is None:
            return
        findings.count("frames without a label", not labels.any())
        if np.count_nonzero(labels) > MAX_VESSEL_FRACTION * labels.size:
            findings.warning("mask: more than half of the frame", findings.below(file))
        if labels.max(initial=0) >= len(self.folder.classes):
            findings.error("mask: value is not a class label", findings.below(file))
        elif self.masks is not None:
            self._compare_channels(f"{split}/{stem}", item, labels, self.masks)

    def _compare_channels(
        self, where: str, item: TaskItem, labels: np.ndarray, listed: dict[str, COCOImage]
    ) -> None:
        """Compare the masks in the COCO file with their hash and the label map."""
        image = listed.get(f"{item['stem']}.png".casefold())
        names = [name.strip().casefold() for name in self.folder.classes[1:]]
        masks = np.zeros((len(names), *labels.shape), dtype=bool)
        for shape in image.shapes if image else []:
            if shape.category not in names or shape.runs is None or shape.size != labels.shape:
                self.findings.error("annotations: not a mask of this frame", where)
                return
            draw_runs(masks[names.index(shape.category)], shape.runs)
        if sha256_bytes(np.packbits(masks).tobytes()) != item["sha256_channels"]:
            self.findings.error("annotations: masks differ from their hash", where)
        expected = np.zeros_like(labels)
        for label, mask in enumerate(masks, start=1):
            expected[mask] = label
        if (expected != labels).any():
            self.findings.error("annotations: masks differ from the label map", where)
        self.findings.count("frames with overlapping classes", (masks.sum(0) > 1).any())

    def detection(self, split: str, item: TaskItem) -> None:
        stem, boxes = item["stem"], item["boxes"]
        self.image(self.folder.image(split, stem), "image", item, "sha256_image")
        self.findings.count("boxes", len(boxes))
        self.findings.count("frames without a box", not boxes)
        for number, box in enumerate(boxes):
            where = f"{split}/{stem}, box {number}"
            if reason := self._box_error(box, item):
                self.findings.error(reason, where)
            elif min(box[2] - box[0], box[3] - box[1]) < 1:
                self.findings.warning("box: narrower than one pixel", where)

    def _box_error(self, box: list[float], item: TaskItem) -> str | None:
        """What is wrong with a box x0, y0, x1, y1, class (pixels, exclusive edges), or None."""
        x0, y0, x1, y1, label = box
        if label not in range(len(self.folder.classes)):
            return "box: not a class label"
        if x0 >= x1 or y0 >= y1:
            return "box: zero area"
        if x0 < 0 or y0 < 0 or x1 > item["width"] or y1 > item["height"]:
            return "box: exceeds the image"
        return None

    def denoising(self, split: str, item: TaskItem) -> None:
        stem = item["stem"]
        clean = self.image(self.folder.clean(split, stem), "clean", item, "sha256_image")
        file = self.folder.image(split, stem)
        degraded = self.image(file, "image", item, "sha256_degraded")
        if clean is not None and degraded is not None and (clean == degraded).all():
            self.findings.error("image: not degraded", self.findings.below(file))

    def annotations(self, split: str) -> None:
        """Check the COCO file of a split, if any, and keep its masks."""
        file = self.folder.coco(split)
        self.masks = {} if self.folder.has_overlaps else None
        if file is None:
            return
        try:
            if self.masks is None:
                self._compare_boxes(split, read_json_object(file))
            else:
                self.masks = self._read_masks(split, file)
        except InputError as error:
            self.findings.error("annotations: cannot be read", str(error))

    def _read_masks(self, split: str, file: Path) -> dict[str, COCOImage]:
        def report(reason: str, where: str) -> None:
            self.findings.error(f"annotations: {reason}", where)

        names = dict(enumerate(self.folder.classes[1:], start=1))
        found = read_coco(file, self.findings.below(file), names, report)
        wanted = {f"{item['stem']}.png".casefold() for item in self.folder.splits[split]}
        for name in sorted(wanted - found.keys()):
            report("frame is missing", f"{split}/{name}")
        for name in sorted(found.keys() - wanted):
            report("frame is not in the manifest", f"{split}/{name}")
        return found

    def _compare_boxes(self, split: str, content: dict[str, object]) -> None:
        """Compare an annotation file with the boxes of the manifest."""
        expected = COCOFile(self.folder.classes)
        for item in self.folder.splits[split]:
            if any(self._box_error(box, item) for box in item["boxes"]):
                return  # reported frame by frame
            annotations = box_annotations(np.array(item["boxes"], np.float64).reshape(-1, 5))
            expected.add(f"{item['stem']}.png", item["height"], item["width"], annotations)
        for key, entries in expected.content.items():
            if content.get(key) != entries:
                self.findings.error(f"annotations: {key} differ from the manifest", f"{split}.json")
