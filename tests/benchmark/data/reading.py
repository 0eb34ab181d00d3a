"""Reading every frame of a source, as a pack or a task folder is built."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from benchmark.data.frame import Frame, Source, UnreadableFrame
from benchmark.data.selection import read_usable


@dataclass
class Reading:
    """Usable frames by path, their pixels and annotations, and the reasons for the others.

    `skipped` includes what was set aside.
    """

    frames: dict[str, Frame] = field(default_factory=dict)
    pixels: dict[str, np.ndarray] = field(default_factory=dict)
    annotations: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    set_aside: Counter[str] = field(default_factory=Counter)

    @property
    def splits(self) -> Counter[str | None]:
        return Counter(frame.split for frame in self.frames.values())

    @property
    def groups(self) -> Counter[str | None]:
        return Counter(frame.group for frame in self.frames.values())


def read_all(source: Source) -> Reading:
    """Read a source completely, with the masks or boxes of its annotated frames."""
    reading = Reading()
    frames = list(source.frames())
    assert len({frame.path for frame in frames}) == len(frames)
    reading.skipped.update(source.report.counts)
    reading.set_aside.update(source.report.set_aside)
    reading.skipped.update(reading.set_aside)
    for frame in frames:
        try:
            pixels = read_usable(source, frame)
            if frame.annotation is not None:
                reading.annotations[frame.path] = read_annotation(source, frame, pixels.shape)
        except UnreadableFrame as error:
            reading.skipped[str(error)] += 1
        else:
            reading.pixels[frame.path] = pixels
            reading.frames[frame.path] = frame
    return reading


def read_annotation(source: Source, frame: Frame, size: tuple[int, ...]) -> np.ndarray:
    """Boxes or masks of a frame, of the right type and shape."""
    if "detection" in source.forms:
        boxes = source.read_boxes(frame)
        assert (boxes.dtype, boxes.shape[1:]) == (np.float64, (5,))
        return boxes
    masks = source.read_masks(frame)
    assert (masks.dtype, masks.shape) == (bool, (len(source.classes), *size))
    return masks
