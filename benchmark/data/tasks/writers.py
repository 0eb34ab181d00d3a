"""What differs between the kinds of tasks: which frames, which files, what an item records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.data.denoising import (
    FRAMES_PER_STUDY,
    Degradation,
    contrast,
    select_contrast_filled,
)
from benchmark.data.frame import Frame, Source, UnreadableFrame
from benchmark.data.image_hashes import pixel_sha256
from benchmark.data.selection import read_usable
from benchmark.data.tasks.coco import COCOFile, box_annotations, mask_annotations
from benchmark.errors import InputError
from benchmark.files import naming, sha256_bytes, write_json

Skipped = list[tuple[str, str]]
Files = dict[str, np.ndarray]
"""Folder (``images``, ``masks``, ``clean``) → the image of a frame that goes there."""


class TaskWriter(ABC):
    """Selects the frames of a task and prepares their files."""

    kind: str
    classes: list[str]  # by label

    def __init__(self, source: Source) -> None:
        self.source = source
        self.parameters: dict[str, Any] = {}  # JSON-able; define the task beyond its frames
        self._coco: dict[str, COCOFile] = {}

    def select(
        self, frames: list[Frame], skipped: Skipped, advance: Callable[[int], None]
    ) -> list[Frame]:
        """The frames of this task; by default the annotated ones."""
        advance(len(frames))
        return [frame for frame in frames if frame.annotation is not None]

    @abstractmethod
    def read(self, frame: Frame, image: np.ndarray, stem: str) -> tuple[Files, dict[str, Any]]:
        """Images to save, and further entries of the item. Raises `UnreadableFrame`."""

    def finish(self, folder: Path) -> None:
        """Write the files of complete splits."""
        for split, coco in self._coco.items():
            write_json(folder / "annotations" / f"{split}.json", coco.content)


class SegmentationWriter(TaskWriter):
    """Label maps; with several classes also one exact mask per class, as COCO's RLE."""

    kind = "segmentation"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.classes = ["background", *source.classes]

    def read(self, frame: Frame, image: np.ndarray, stem: str) -> tuple[Files, dict[str, Any]]:
        masks = self.source.read_masks(frame)
        if masks.shape[1:] != image.shape:
            raise UnreadableFrame("mask and image differ in size")
        labels = np.zeros(image.shape, np.uint8)
        for label, mask in enumerate(masks, start=1):
            labels[mask] = label
        extra = {"sha256_mask": pixel_sha256(labels)}
        if len(masks) > 1:
            extra["sha256_channels"] = sha256_bytes(np.packbits(masks).tobytes())
            coco = self._coco.setdefault(frame.split, COCOFile(self.classes[1:]))
            coco.add(f"{stem}.png", *image.shape, mask_annotations(masks))
        return {"images": image, "masks": labels}, extra


class DetectionWriter(TaskWriter):
    """Boxes in COCO's format."""

    kind = "detection"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.classes = list(source.box_classes or source.classes)

    def read(self, frame: Frame, image: np.ndarray, stem: str) -> tuple[Files, dict[str, Any]]:
        boxes = self.source.read_boxes(frame)
        coco = self._coco.setdefault(frame.split, COCOFile(self.classes))
        coco.add(f"{stem}.png", *image.shape, box_annotations(boxes))
        return {"images": image}, {"boxes": boxes.tolist()}


class DenoisingWriter(TaskWriter):
    """Contrast-filled frames, `per_group` of each patient or study, degraded."""

    kind = "denoising"

    def __init__(
        self,
        source: Source,
        degradation: Degradation | None = None,
        per_group: int = FRAMES_PER_STUDY,
    ) -> None:
        super().__init__(source)
        if per_group < 1:
            raise InputError(f"frames={per_group}: must be at least 1")
        self.classes = []
        self.degradation = degradation or Degradation()
        self.per_group = per_group
        self.parameters = {**asdict(self.degradation), "frames_per_group": per_group}
        self._counts: Counter[str] = Counter()

    def select(
        self, frames: list[Frame], skipped: Skipped, advance: Callable[[int], None]
    ) -> list[Frame]:
        """Up to `per_group` frames of each group, those with most contrast of each video.

        Single images are taken as they are.
        """
        selected: list[Frame] = []
        groups: dict[str, dict[str, list[Frame]]] = {}
        for frame in frames:
            if frame.split is None:
                advance(1)  # a study not reserved for this task
            elif frame.video is None:
                selected.append(frame)
                advance(1)
            else:
                unit = frame.group or frame.video
                groups.setdefault(unit, {}).setdefault(frame.video, []).append(frame)
        for videos in groups.values():
            for count, video in zip(_even_parts(self.per_group, len(videos)), videos.values()):
                if count:
                    selected += self._most_contrast(video, count, skipped)
                advance(len(video))
        return selected

    def _most_contrast(self, video: list[Frame], count: int, skipped: Skipped) -> list[Frame]:
        frames, images = [], []
        for frame in video:
            try:
                image = read_usable(self.source, frame)
            except UnreadableFrame as error:
                skipped.append((str(error), frame.path))
                continue
            if images and image.shape != images[0].shape:
                skipped.append(("size differs from that of its video", frame.path))
                continue
            frames.append(frame)
            images.append(image)
        scores = contrast(np.stack(images)).tolist() if images else []
        return [frames[position] for position in select_contrast_filled(scores, count)]

    def read(self, frame: Frame, image: np.ndarray, stem: str) -> tuple[Files, dict[str, Any]]:
        # Dose levels alternate, so that every split has equally many frames of each.
        level = self._counts[frame.split] % len(self.degradation.photons)
        self._counts[frame.split] += 1
        degraded = self.degradation.apply(image, level, f"{frame.source}/{frame.path}")
        extra = {"level": level, "sha256_degraded": pixel_sha256(degraded)}
        return {"images": degraded, "clean": image}, extra


class DenoisingPairWriter(TaskWriter):
    """Clean frames with the noisy ones that the source has for them."""

    kind = "denoising"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.classes = []

    def read(self, frame: Frame, image: np.ndarray, stem: str) -> tuple[Files, dict[str, Any]]:
        degraded = self.source.read_degraded(frame)
        if degraded.shape != image.shape:
            raise UnreadableFrame("clean and noisy frame differ in size")
        extra = {"sha256_degraded": pixel_sha256(degraded)}
        return {"images": degraded, "clean": image}, extra


def _even_parts(count: int, parts: int) -> Iterator[int]:
    """`count` divided into `parts` integers that differ by at most 1, the larger ones first."""
    return (count // parts + (part < count % parts) for part in range(parts))


def save_images(folder: Path, split: str, stem: str, files: Files) -> None:
    """Write the images of one frame as PNG, each into its folder."""
    for name, pixels in files.items():
        target = folder / name / split
        target.mkdir(parents=True, exist_ok=True)
        path = target / f"{stem}.png"
        with naming(path):
            Image.fromarray(pixels).save(path)
