"""What is special about each kind of task: which frames, which files, what an item says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.data.denoising import FRAMES_PER_STUDY, Degradation, contrast, contrast_filled
from benchmark.data.frame import Frame, Source, UnreadableFrame
from benchmark.data.image_hashes import pixel_sha256
from benchmark.data.selection import read_usable
from benchmark.data.tasks.coco import CocoFile, box_annotations, mask_annotations
from benchmark.errors import InputError
from benchmark.files import naming, sha256_bytes, write_json

Skipped = list[tuple[str, str]]
Files = dict[str, np.ndarray]
"""Folder (``images``, ``masks``, ``clean``) → the picture of a frame that goes there."""


class Segmentation:
    """Label maps; with several classes also one exact mask for each class, as COCO's RLE.

    Args:
        source: where the frames come from.
    """

    kind = "segmentation"

    def __init__(self, source: Source) -> None:
        self.source = source
        self.classes = ["background", *source.classes]
        self.parameters: dict[str, Any] = {}
        self._coco: dict[str, CocoFile] = {}

    def choose(
        self, frames: list[Frame], skipped: Skipped, advance: Callable[[int], None]
    ) -> list[Frame]:
        """The annotated frames; the others are no part of this task."""
        advance(len(frames))
        return [frame for frame in frames if frame.annotation is not None]

    def read(
        self, frame: Frame, image: np.ndarray, split: str, stem: str
    ) -> tuple[Files, dict[str, Any]]:
        """Pictures to save and what is special about the item. Raises `UnreadableFrame`."""
        masks = self.source.read_masks(frame)
        if masks.shape[1:] != image.shape:
            raise UnreadableFrame("mask and image differ in size")
        labels = np.zeros(image.shape, np.uint8)
        for label, mask in enumerate(masks, start=1):
            labels[mask] = label
        extra = {"sha256_mask": pixel_sha256(labels)}
        if len(masks) > 1:
            extra["sha256_channels"] = sha256_bytes(np.packbits(masks).tobytes())
            coco = self._coco.setdefault(split, CocoFile(self.classes[1:]))
            coco.add(stem, *image.shape, mask_annotations(masks))
        return {"images": image, "masks": labels}, extra

    def finish(self, folder: Path) -> None:
        """Write what belongs to whole splits."""
        for split, coco in self._coco.items():
            write_json(folder / "annotations" / f"{split}.json", coco.content)


class Detection:
    """Boxes in COCO's format. Arguments and methods as `Segmentation`."""

    kind = "detection"
    choose = Segmentation.choose
    finish = Segmentation.finish

    def __init__(self, source: Source) -> None:
        self.source = source
        self.classes = list(source.classes)
        self.parameters: dict[str, Any] = {}
        self._coco: dict[str, CocoFile] = {}

    def read(
        self, frame: Frame, image: np.ndarray, split: str, stem: str
    ) -> tuple[Files, dict[str, Any]]:
        boxes = self.source.read_boxes(frame)
        coco = self._coco.setdefault(split, CocoFile(self.classes))
        coco.add(stem, *image.shape, box_annotations(boxes))
        return {"images": image}, {"boxes": boxes.tolist()}


class Denoising:
    """Contrast-filled frames of the reserved studies, degraded.

    Args:
        source: where the frames come from.
        degradation: noise and blur.
        per_group: frames of a study, spread over its videos.
    """

    kind = "denoising"

    def __init__(
        self,
        source: Source,
        degradation: Degradation | None = None,
        per_group: int = FRAMES_PER_STUDY,
    ) -> None:
        if per_group < 1:
            raise InputError(f"frames={per_group}: must be at least 1")
        self.source = source
        self.classes: list[str] = []
        self.degradation = degradation or Degradation()
        self.per_group = per_group
        self.parameters = {**self.degradation.parameters(), "frames_per_group": per_group}
        self._counts: dict[str, int] = {}

    def choose(
        self, frames: list[Frame], skipped: Skipped, advance: Callable[[int], None]
    ) -> list[Frame]:
        """Up to `per_group` frames of each group, those with most contrast of each video."""
        groups: dict[str, dict[str, list[Frame]]] = {}
        for frame in frames:
            if frame.split is None:
                advance(1)  # a study that is not reserved for this task
            elif frame.group is None or frame.video is None:
                skipped.append(("study or video unknown", frame.path))
                advance(1)
            else:
                groups.setdefault(frame.group, {}).setdefault(frame.video, []).append(frame)
        chosen = []
        for videos in groups.values():
            for count, video in zip(_shares(self.per_group, len(videos)), videos.values()):
                if count:
                    chosen += self._most_contrast(video, count, skipped)
                advance(len(video))
        return chosen

    def _most_contrast(self, video: list[Frame], count: int, skipped: Skipped) -> list[Frame]:
        frames, pictures = [], []
        for frame in video:
            try:
                picture = read_usable(self.source, frame)
            except UnreadableFrame as error:
                skipped.append((str(error), frame.path))
                continue
            if pictures and picture.shape != pictures[0].shape:
                skipped.append(("size differs from that of its video", frame.path))
                continue
            frames.append(frame)
            pictures.append(picture)
        scores = contrast(np.stack(pictures)).tolist() if pictures else []
        return [frames[position] for position in contrast_filled(scores, count)]

    def read(
        self, frame: Frame, image: np.ndarray, split: str, stem: str
    ) -> tuple[Files, dict[str, Any]]:
        # Dose levels in turn: every split has as many frames of each.
        place = self._counts.get(split, 0)
        self._counts[split] = place + 1
        level = place % len(self.degradation.photons)
        degraded = self.degradation.apply(image, level, f"{frame.source}/{frame.path}")
        extra = {"level": level, "sha256_degraded": pixel_sha256(degraded)}
        return {"images": degraded, "clean": image}, extra

    def finish(self, folder: Path) -> None:
        """Nothing beside the pictures."""


def _shares(count: int, parts: int) -> Iterator[int]:
    """`count` in `parts` whole shares that differ by at most 1, the larger ones first."""
    return (count // parts + (part < count % parts) for part in range(parts))


def save_pictures(folder: Path, split: str, stem: str, files: Files) -> None:
    for kind, pixels in files.items():
        target = folder / kind / split
        target.mkdir(parents=True, exist_ok=True)
        path = target / f"{stem}.png"
        with naming(path):
            Image.fromarray(pixels).save(path)
