"""Speed of building packs, against decoding the same files and doing nothing else."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmark.data.packs import FramePack, build_pack
from benchmark.data.sources.folder import Folder
from benchmark.errors import InputError
from benchmark.files import list_folder, walk
from benchmark.speed.timing import (
    TimingRow,
    comparison_row,
    require_positive,
    show_rows,
    time_in_turn,
)

CORPUS = 171_478
"""Frames of XA-170K (Huang et al., arXiv 2602.11536), for a time that one can imagine."""

_DIFFERENT = 64
_VIDEO = 16

Frames = list[np.ndarray]


class _Case(NamedTuple):
    """Files to build a pack from, and the plain way to decode them all."""

    what: str
    reference: str
    folder: Path
    decode: Callable[[Path], Frames]


def _decode_png(folder: Path) -> Frames:
    files = sorted(file for file in walk(folder) if file.suffix == ".png")
    return [np.asarray(Image.open(file).convert("L")) for file in files]


def _decode_npz(folder: Path) -> Frames:
    frames: Frames = []
    for file in list_folder(folder, "*.npz"):
        with np.load(file) as content:
            frames += list(content["pixel_array"])
    return frames


def _draw(count: int, size: int) -> np.ndarray:
    """Synthetic angiograms, uint8 count×size×size: videos of 16 frames of a patient each."""
    from benchmark.data.synthetic import angiogram

    drawn = [
        angiogram(0, number // _VIDEO, 0, number % _VIDEO, size=size, frames=_VIDEO).image
        for number in range(min(count, _DIFFERENT))
    ]
    return np.stack([drawn[number % len(drawn)] for number in range(count)])


def _cases(count: int, size: int, folder: Path) -> list[_Case]:
    """The same synthetic frames as pictures and as videos, written below `folder`."""
    frames = _draw(count, size)
    for kind in ("png", "npz"):
        (folder / kind).mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / "png" / f"{number:06d}.png")
    for first in range(0, count, _VIDEO):
        file = folder / "npz" / f"{first:06d}.npz"
        np.savez_compressed(file, pixel_array=frames[first : first + _VIDEO])
    pillow, numpy = f"Pillow {PIL.__version__}", f"numpy {np.__version__}"
    return [
        _Case("PNG files", f"{pillow}, decoding alone", folder / "png", _decode_png),
        _Case("npz videos", f"{numpy}, decoding alone", folder / "npz", _decode_npz),
    ]


def _agreement(pack: FramePack, frames: Frames) -> np.ndarray:
    """Share of equal pixels of each frame; frames that were resized are compared with nothing."""
    same = [
        (square == frame).mean()
        for square, frame in zip(pack.frames, frames)
        if square.shape == frame.shape
    ]
    return np.array(same if same else [np.nan])


def _build_alone(source: Path, size: int, out: Path) -> float | None:
    """Most megabytes of memory that this process had, after building a pack; None if not told."""
    build_pack(Folder(source), out, size, progress=False)
    # Not `getrusage`: its maximum includes what the parent had when it made this process.
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return None
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e6


def _peak_memory(source: Path, size: int, out: Path) -> str:
    """What building takes, in a process that has done nothing else."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        megabytes = pool.submit(_build_alone, source, size, out).result()
    return "memory not measured" if megabytes is None else f"{megabytes:,.0f} MB of memory at most"


def _measure(case: _Case, size: int, repeats: int, folder: Path) -> TimingRow:
    def build(name: str) -> FramePack:
        return build_pack(Folder(case.folder), folder / name, size, progress=False)

    case.decode(case.folder)
    build("unmeasured")
    names = (f"pack{number}" for number in itertools.count())
    ours, theirs, pack, frames = time_in_turn(
        lambda: build(next(names)), lambda: case.decode(case.folder), repeats
    )
    if len(pack) != len(frames):
        raise InputError(f"{case.folder}: {len(frames)} frames decoded, {len(pack)} in the pack")
    on_disk = sum(file.stat().st_size for file in pack.path.iterdir())
    print(
        f"{case.what}: {on_disk / len(pack):,.0f} bytes per frame, "
        f"{_peak_memory(case.folder, size, folder / 'measured')}, "
        f"{CORPUS:,} frames in {CORPUS * ours / len(pack) / 60:.0f} minutes"
    )
    return comparison_row(
        f"pack from {case.what}, {len(pack)} frames, {size}x{size}, 1 process",
        case.reference,
        len(pack),
        (ours, theirs),
        _agreement(pack, frames),
        "uint8",
    )


def bench_pack(
    count: int = 256,
    size: int = 512,
    repeats: int = 3,
    images: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
) -> list[TimingRow]:
    """Time `build_pack` on one core and the decoding of the same files, print and return the rows.

    Each goes through all files once before, unmeasured. The reference decodes into memory and
    writes nothing, so a pack, which is hashed and put on the disk, cannot reach it.

    Args:
        count: synthetic frames, of which at most 64 differ.
        size: side of the squares, and of the synthetic frames, in pixels.
        repeats: timings per side, of which the medians are reported.
        images: folder with PNG frames to be used instead of synthetic ones.
        out: CSV file with `COLUMNS`; None: none is written.

    Raises:
        InputError: a number is below 1, or the folder holds no image or one that is unusable.
    """
    require_positive(frames=count, size=size, repeats=repeats)
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        folder = Path(name)
        if images is None:
            cases = _cases(count, size, folder)
        else:
            reference = f"Pillow {PIL.__version__}, decoding alone"
            cases = [_Case("PNG files", reference, Path(images), _decode_png)]
        rows = []
        for number, case in enumerate(cases):
            (folder / f"packs{number}").mkdir()
            rows.append(_measure(case, size, repeats, folder / f"packs{number}"))
    show_rows(rows, out, "packs")
    return rows
