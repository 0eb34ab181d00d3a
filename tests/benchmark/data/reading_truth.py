"""Reading everything that a source yields, for tests that compare whole datasets."""

from __future__ import annotations

from collections import Counter

import numpy as np

from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.selection import read_usable


def read_truth(source) -> tuple[dict[str, tuple[Frame, np.ndarray]], Counter, Counter]:
    """Path → (frame, masks or boxes); usable frames by split; everything left out by reason."""
    frames = list(source.frames())
    assert len({frame.path for frame in frames}) == len(frames)
    skipped = Counter(source.report.counts)
    truth: dict[str, tuple[Frame, np.ndarray]] = {}
    for frame in frames:
        try:
            image = read_usable(source, frame)
            if "detection" in source.forms:
                found = source.read_boxes(frame)
                assert (found.dtype, found.shape[1:]) == (np.float64, (5,))
            else:
                found = source.read_masks(frame)
                assert (found.dtype, found.shape) == (bool, (len(source.classes), *image.shape))
        except UnreadableFrame as error:
            skipped[str(error)] += 1
        else:
            truth[frame.path] = frame, found
    return truth, Counter(frame.split for frame, _ in truth.values()), skipped


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return (first & second).sum() / (first | second).sum()
