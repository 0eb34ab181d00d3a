"""Synthetic angiograms to measure on: in memory, as PNG files, and as a pack."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.data.packs import PackCollection, add_anatomy, build_pack, open_packs
from benchmark.data.sources.folder import Folder
from benchmark.data.synthetic import SyntheticFrame, angiogram

VIDEO = 16
"""Frames per video; each patient has one video."""


def draw(count: int, size: int, different: int = 64) -> list[SyntheticFrame]:
    """Synthetic angiograms of size² pixels, at most `different` of them distinct."""
    drawn = [
        angiogram(0, number // VIDEO, 0, number % VIDEO, size=size, frames=VIDEO)
        for number in range(min(count, different))
    ]
    return [drawn[number % len(drawn)] for number in range(count)]


def write_png_pairs(folder: Path, count: int, size: int) -> None:
    """Grayscale PNG files in ``frames/``, 16 of them distinct, and their vessels in ``masks/``."""
    for kind in ("frames", "masks"):
        (folder / kind).mkdir(parents=True)
    for number, frame in enumerate(draw(count, size, VIDEO)):
        pictures = {"frames": frame.image, "masks": frame.vessel.astype(np.uint8) * 255}
        for kind, pixels in pictures.items():
            path = folder / kind / f"{number:06d}.png"
            if number < VIDEO:
                Image.fromarray(pixels).save(path)
            else:
                os.link(folder / kind / f"{number % VIDEO:06d}.png", path)


def pack_of_pairs(folder: Path, size: int) -> PackCollection:
    """The frames and masks of `write_png_pairs` as a pack, in the same order."""
    pack = build_pack(Folder(folder / "frames"), folder / "pack", size=size, progress=False)
    names = iter(sorted((folder / "masks").iterdir()))

    def masks(frames: np.ndarray, valid: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(Image.open(next(names))) > 0 for _ in frames])

    add_anatomy(pack.path, masks, {"from": "masks"}, progress=False)
    return open_packs([pack.path])
