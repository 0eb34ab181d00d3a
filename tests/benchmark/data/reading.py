"""Reading a source to the end, the way a pack is built."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from benchmark.data.frame import Frame, Source, UnreadableFrame
from benchmark.data.selection import read_usable


@dataclass
class Reading:
    """What came of a source: usable frames and their pixels by path, and why the rest is out."""

    frames: dict[str, Frame] = field(default_factory=dict)
    pixels: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def splits(self) -> Counter[str | None]:
        return Counter(frame.split for frame in self.frames.values())

    @property
    def groups(self) -> Counter[str | None]:
        return Counter(frame.group for frame in self.frames.values())


def read_all(source: Source) -> Reading:
    reading = Reading()
    frames = list(source.frames())
    assert len({frame.path for frame in frames}) == len(frames)
    reading.skipped.update(source.report.counts)
    reading.skipped.update(source.report.set_aside)
    for frame in frames:
        try:
            reading.pixels[frame.path] = read_usable(source, frame)
            reading.frames[frame.path] = frame
        except UnreadableFrame as error:
            reading.skipped[str(error)] += 1
    return reading
