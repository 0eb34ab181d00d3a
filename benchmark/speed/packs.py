"""Speed of building packs, against decoding the same files and doing nothing else."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from benchmark.data.packs import FramePack, build_pack
from benchmark.data.sources.folder import Folder
from benchmark.errors import InputError
from benchmark.files import list_folder, walk
from benchmark.speed.frames import VIDEO, draw
from benchmark.speed.timing import TimingRow, compare, cpu_threads, show_rows

CORPUS = 171_478
"""Frames of XA-170K (Huang et al., arXiv 2602.11536), to print the time for a real dataset."""

Frames = list[np.ndarray]


def _decode_png(folder: Path) -> Frames:
    files = sorted(file for file in walk(folder) if file.suffix == ".png")
    return [np.asarray(Image.open(file).convert("L")) for file in files]


def _decode_npz(folder: Path) -> Frames:
    frames: Frames = []
    for file in list_folder(folder, "*.npz"):
        with np.load(file) as content:
            frames += list(content["pixel_array"])
    return frames


_PNG = ("PNG files", _decode_png, f"Pillow {PIL.__version__}")
_NPZ = ("npz videos", _decode_npz, f"numpy {np.__version__}")


def _write(frames: Frames, png: Path, npz: Path) -> None:
    """The same frames as images and as videos."""
    for folder in (png, npz):
        folder.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(png / f"{number:06d}.png")
    for first in range(0, len(frames), VIDEO):
        video = frames[first : first + VIDEO]
        np.savez_compressed(npz / f"{first:06d}.npz", pixel_array=video)


def _build_alone(source: Path, size: int, out: Path) -> float | None:
    """Peak memory of this process in MB after building a pack; None if unknown."""
    build_pack(Folder(source), out, size, progress=False)
    # Not `getrusage`: its maximum includes the memory of the parent when it started this process.
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return None
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e6


def _peak_memory(source: Path, size: int, out: Path) -> str:
    """Peak memory of building a pack, in a process that has done nothing else."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        megabytes = pool.submit(_build_alone, source, size, out).result()
    return "memory not measured" if megabytes is None else f"{megabytes:,.0f} MB of memory at most"


def _measure(
    source: Path,
    kind: tuple[str, Callable[[Path], Frames], str],
    size: int,
    repeats: int,
    work: Path,
) -> TimingRow:
    what, decode, library = kind
    numbers = itertools.count()

    def build() -> FramePack:
        return build_pack(Folder(source), work / f"{what} {next(numbers)}", size, progress=False)

    def agreement(pack: FramePack, frames: Frames) -> np.ndarray:
        """Share of equal pixels of each frame; frames that were resized are not compared."""
        if len(pack) != len(frames):
            raise InputError(f"{source}: {len(frames)} frames decoded, {len(pack)} in the pack")
        pairs = zip(pack.frames, frames)
        same = [(square == frame).mean() for square, frame in pairs if square.shape == frame.shape]
        return np.array(same or [np.nan])

    count = len(decode(source))
    row = compare(
        f"pack from {what}, {count} frames, {size}x{size}, 1 process",
        f"{library}, decoding alone",
        (build, lambda: decode(source)),
        count,
        repeats,
        agreement,
        "uint8",
    )
    on_disk = sum(file.stat().st_size for file in (work / f"{what} 0").iterdir())
    print(
        f"{what}: {on_disk / count:,.0f} bytes per frame, "
        f"{_peak_memory(source, size, work / f'{what} alone')}, "
        f"{CORPUS:,} frames in {CORPUS / float(row['ours_per_s']) / 60:.0f} minutes"
    )
    return row


def bench_pack(
    count: int = 256,
    size: int = 512,
    repeats: int = 3,
    images: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
) -> list[TimingRow]:
    """Time `build_pack` on one core and the decoding of the same files, print and return the rows.

    The reference decodes into memory and writes nothing, so a pack, which is hashed and put on the
    disk, cannot be as fast.

    The arguments are options of ``tools/bench.py``; at most 64 of `count` synthetic frames are
    distinct; they are written as images and as videos.

    Raises:
        InputError: the folder holds no image or one that is unusable.
    """
    with tempfile.TemporaryDirectory() as name, cpu_threads(1):
        work = Path(name)
        if images is None:
            png, npz = work / "png", work / "npz"
            _write([frame.image for frame in draw(count, size)], png, npz)
            sources = [(png, _PNG), (npz, _NPZ)]
        else:
            sources = [(Path(images), _PNG)]
        rows = [_measure(source, kind, size, repeats, work) for source, kind in sources]
    show_rows(rows, out, "packs")
    return rows
