"""Contact sheets of prepared tasks: frames beside their annotations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.data.splits import SPLITS
from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import TaskItem

MAX_COLUMNS = 4
"""Masks of more classes share a column."""

_COLOURS = np.array(
    [(230, 70, 70), (70, 130, 230), (90, 190, 110), (240, 190, 60), (170, 90, 210), (60, 190, 200)],
    dtype=np.float32,
)


def task_rows(folder: TaskFolder, count: int) -> list[dict[str, np.ndarray]]:
    """Frames of all splits, evenly spaced, with masks, boxes or the clean frame.

    Returns:
        Rows of a sheet: column title → grayscale H×W or RGB H×W×3, uint8.
    """
    every = [(split, item) for split in SPLITS for item in folder.splits.get(split, [])]
    chosen = np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int)
    return [dict(_columns(folder, *every[index])) for index in chosen]


def _columns(folder: TaskFolder, split: str, item: TaskItem) -> Iterator[tuple[str, np.ndarray]]:
    stem = item["stem"]
    frame = _read(folder.image(split, stem))
    if folder.kind == "denoising":
        yield "noisy", frame
        yield "clean", _read(folder.clean(split, stem))
        return
    yield "frame", frame
    if folder.kind == "detection":
        yield ", ".join(folder.classes), _tint(frame, _outlines(item, len(folder.classes)))
        return
    masks, names = folder.channels(split, stem), folder.classes[1:]
    if len(names) > MAX_COLUMNS:
        yield f"{len(names)} classes", _tint(frame, masks)
        return
    for number, name in enumerate(names):
        alone = np.zeros_like(masks)
        alone[number] = masks[number]
        yield name, _tint(frame, alone)


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


def _tint(frame: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Tint grayscale H×W by masks C×H×W, each in the colour of its class: RGB, uint8."""
    tinted = np.repeat(frame[..., None].astype(np.float32), 3, axis=2)
    for number, mask in enumerate(masks):
        tinted[mask] = 0.45 * tinted[mask] + 0.55 * _COLOURS[number % len(_COLOURS)]
    return tinted.astype(np.uint8)


def _outlines(item: TaskItem, classes: int) -> np.ndarray:
    """Outlines of the boxes of an item, of visible thickness; bool, classes×H×W."""
    drawn = np.zeros((classes, item["height"], item["width"]), dtype=bool)
    thick = max(1, item["height"] // 96)
    for *edges, label in item["boxes"]:
        left, top, right, bottom = (round(edge) for edge in edges)
        ring = np.zeros(drawn.shape[1:], dtype=bool)
        ring[top:bottom, left:right] = True
        ring[top + thick : bottom - thick, left + thick : right - thick] = False
        drawn[int(label)] |= ring
    return drawn
