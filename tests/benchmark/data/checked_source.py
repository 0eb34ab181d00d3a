"""A small source for the checks, and what their tests share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from raw_layouts import picture

from benchmark.data.checks import Findings, check_data
from benchmark.data.frame import Frame, SkipReport, Source
from benchmark.files import read_json, write_json


class Pictures(Source):
    """Frames 0–5 of 40×48 pixels: patients 0–2 with two frames each, the last one is test."""

    name = task = "pictures"
    expected: dict[str, int] = {}
    split_note = "by patient"
    official_split = False
    forms = ("segmentation", "detection", "denoising")
    pack_splits = None

    def __init__(self, classes: tuple[str, ...] = ("vessel",), splits: str = "aaaabb") -> None:
        self.classes = classes
        self.splits = splits
        self.options: dict[str, str | int | float] = {}
        self.report = SkipReport()

    def frames(self) -> Iterator[Frame]:
        for number, split in enumerate(self.splits):
            group = f"pictures/{number // 2}"
            name = {"a": "train", "b": "test"}[split]
            yield Frame(self.name, f"{number}.png", group, group, number, name, "yes")

    def read(self, frame: Frame) -> np.ndarray:
        return picture(int(frame.path[0]), 40, 48)

    def read_masks(self, frame: Frame) -> np.ndarray:
        """Stripes that overlap by two rows; none in frame 1."""
        masks = np.zeros((len(self.classes), 40, 48), dtype=bool)
        for number, mask in enumerate(masks):
            mask[5 * number : 5 * number + 7, 3:30] = frame.path != "1.png"
        return masks

    def read_boxes(self, frame: Frame) -> np.ndarray:
        boxes = [[2, 3, 20, 30, 0], [0, 0, 48, 40, 0]][: int(frame.path[0]) % 3]
        return np.array(boxes, dtype=np.float64).reshape(-1, 5)


def reasons(findings: Findings) -> dict[str, int]:
    return dict(Counter(reason for reason, _ in findings.errors))


def check(path: Path) -> Findings:
    return check_data(path, progress=False)


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = read_json(folder / "manifest.json")
    change(manifest)
    write_json(folder / "manifest.json", manifest)
