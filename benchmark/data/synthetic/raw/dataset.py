"""Shared by the writers of raw layouts: images, small files, and the expected counts."""

from __future__ import annotations

import functools
import glob
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.data.synthetic.render import SyntheticFrame, angiogram
from benchmark.files import naming

# Datasets share frames: two of them, or one with and without defects.
_angiogram = functools.lru_cache(maxsize=512)(angiogram)


@dataclass(frozen=True)
class RawDataset:
    """A dataset written as users download it, and what a correct reader finds in it.

    Attributes:
        root: folder the dataset is written below; to be passed to the reader.
        seed: seed of the synthetic population.
        size: side of the frames in pixels.
        defects: whether to plant the known defects of the real download.
        frames: number of usable frames by split (None where the dataset has no split).
        skipped: number of planted defects by the reason that walking or reading gives.
        written: the files written so far, as patterns relative to the root of the complete dataset.
        below: folder of a part within a larger dataset, with ``/`` at the end.
    """

    root: Path
    seed: int = 0
    size: int = 96
    defects: bool = True
    frames: Counter[str | None] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    written: list[str] = field(default_factory=list)
    below: str = ""

    def part(self, name: str, seed: int) -> RawDataset:
        """A dataset with its own seed and counts, to be written into the folder `name` of this."""
        return replace(
            self,
            root=self.root / name,
            seed=seed,
            frames=Counter(),
            skipped=Counter(),
            below=f"{self.below}{name}/",
        )

    def draw(self, patient: int, video: int = 0, frame: int = 4, frames: int = 8) -> SyntheticFrame:
        """A synthetic angiogram with its ground truth, a function of the arguments and the seed."""
        return _angiogram(self.seed, patient, video, frame, size=self.size, frames=frames)

    def save(
        self, path: str, pixels: np.ndarray, mode: str | None = None, skipped: str | None = None
    ) -> Path:
        """Write an image file below the root, in the format of its extension.

        Args:
            path: below the root.
            pixels: uint8 H×W or H×W×C, or uint16 H×W.
            mode: Pillow mode to convert the image to, e.g. ``"RGB"``.
            skipped: the reason that a reader reports for the file; counted.
        """
        target = self._target(path, skipped)
        image = Image.fromarray(pixels)
        with naming(target):
            (image.convert(mode) if mode else image).save(target)
        return target

    def write(self, path: str, content: bytes | str, skipped: str | None = None) -> Path:
        """Write a file below the root; text keeps its line endings. `skipped` as for `save`."""
        target = self._target(path, skipped)
        with naming(target):
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def clutter(self, folder: str = "") -> None:
        """The hidden files and archiver leftovers found in nearly every download."""
        prefix = f"{folder}/" if folder else ""
        for name in (".DS_Store", "._1.png", "Thumbs.db", "__MACOSX/._1.png"):
            self.write(prefix + name, b"\0\5\26\7 not an image")

    def _target(self, path: str, skipped: str | None) -> Path:
        target = self.root / path
        if skipped is not None:
            self.skipped[skipped] += 1
        self.written.append(glob.escape(self.below + path))
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def truncate(path: Path, keep: float = 0.5) -> Path:
    """Cut a file short, as an interrupted download leaves it."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path
