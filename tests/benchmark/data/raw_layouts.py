"""Small raw datasets with planted defects, a source that lives in memory, and packs of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.data.frame import Frame, SkipReport, Source, UnreadableFrame
from benchmark.data.packs import FramePack, build_pack


def picture(seed: int, height: int = 48, width: int = 48) -> np.ndarray:
    """A smooth random image, uint8, height×width."""
    coarse = np.random.default_rng(seed).uniform(20, 230, (6, 6)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth), 0, 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


def truncate(path: Path, keep: float = 0.5) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


def write_dca1(root: Path, pairs: int = 8) -> Path:
    for number in range(1, pairs + 1):
        pixels = picture(number)
        save(root / f"{number}.png", pixels)
        save(root / f"{number}_gt.png", np.where(pixels < 90, 255, 0).astype(np.uint8))
    return root


SIZE = 32
PICTURES: list[np.ndarray | str] = [picture(seed, 48, 48 - seed) for seed in range(20)]
PICTURES[3] = "damaged image"
PICTURES[11] = np.full((9, 9), 40, np.uint8)
KEPT = [number for number in range(20) if number not in (3, 11)]


class MemorySource(Source):
    """A source of images in memory: 3 patients in turn, 2 of them train, 1 test.

    `images[i]` may be a string: the reason for which frame i cannot be read. Reading frame
    `stop_at` raises `Interruption`.
    """

    name = "memory"
    expected = {"frames": 1000}
    split_note = "patient 2 is test"
    official_split = False
    forms = ("pack", "segmentation", "detection")
    pack_splits = None
    task = "memory"
    classes = ("vessel",)

    def __init__(self, pictures: list[np.ndarray | str], stop_at: int | None = None) -> None:
        self.report = SkipReport()
        self.options = {}
        self.pictures = pictures
        self.stop_at = stop_at
        self.reads = 0

    def frames(self) -> Iterator[Frame]:
        self.report = SkipReport()
        for number in range(len(self.pictures)):
            patient = number % 3
            yield Frame(
                self.name,
                f"{number:03d}.png",
                group=f"memory/{patient}",
                split="test" if patient == 2 else "train",
                annotation=f"{number:03d}_mask.png",
            )

    def read(self, frame: Frame) -> np.ndarray:
        number = int(frame.path[:3])
        if number == self.stop_at:
            raise Interruption
        self.reads += 1
        content = self.pictures[number]
        if isinstance(content, str):
            raise UnreadableFrame(content)
        return content

    def read_masks(self, frame: Frame) -> np.ndarray:
        return self.read(frame)[None] < 90

    def read_boxes(self, frame: Frame) -> np.ndarray:
        return np.array([[1, 2, 11, 22, 0]], dtype=np.float64)


class Interruption(Exception):
    """Stands for a kill at this point."""


def folder_bytes(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by its relative path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def build_small(
    out: Path,
    pictures: list[np.ndarray | str] = PICTURES,
    stop_at: int | None = None,
    size: int = SIZE,
    **options: Any,
) -> FramePack:
    """A pack of images in memory; two of the 20 default ones are unusable."""
    return build_pack(MemorySource(pictures, stop_at), out, size, progress=False, **options)
