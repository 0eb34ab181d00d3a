"""Decoding, read and gather rates, and free disk space."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.checks.environment import Finding, amount, judged
from benchmark.checks.environment.processors import usable_cores
from benchmark.data.formats.images import read_grayscale
from benchmark.data.packs import PackCollection
from benchmark.errors import InputError
from benchmark.files import fsync
from benchmark.files.temporary import remove_leftovers_once, temporary_beside

CORPUS = 171_478  # frames of XA-170K

#: Frames per second; a slower core needs more than an hour for XA-170K.
SLOW_DECODING = CORPUS / 3600
#: Frames per second that one training process consumes: about 1,000 for masked image modelling with
#: a ViT-B/16 on a GPU, a tenth of that at the smaller scales on a CPU.
WANTED_ON_GPU, WANTED_ON_CPU = 1000, 100
#: Disk space for the checkpoints of one run at scale paper (ViT-B, AdamW; two kept, one being
#: written), and as much again for logs, exports and results.
ROOM = 10 * 2**30
_NO_ROOM = 2**30

_SIDE = 512
_BLOCK = 1 << 22
_FILE_BYTES = 1 << 27
_SECONDS = 1.0


def example_frame(side: int = _SIDE) -> np.ndarray:
    """A smooth image with detector noise, as hard to compress as an angiogram; uint8 side²."""
    generator = np.random.default_rng(0)
    ramp = np.linspace(0, 3, side)
    smooth = 128 + 60 * np.sin(ramp[:, None]) * np.cos(2 * ramp)
    return (smooth + generator.normal(0, 4, (side, side))).clip(0, 255).astype(np.uint8)


def decode_rate(folder: Path, seconds: float = _SECONDS) -> float:
    """PNG files of 512² that one core decodes per second, as `prepare_data` does."""
    stream = io.BytesIO()
    Image.fromarray(example_frame()).save(stream, "PNG")
    remove_leftovers_once(folder)
    path = temporary_beside(folder / "frame.png")
    try:
        path.write_bytes(stream.getvalue())
        read_grayscale(path)
        return _rate(lambda: read_grayscale(path), seconds)
    finally:
        path.unlink(missing_ok=True)


def _rate(work: Callable[[], object], seconds: float) -> float:
    """Calls per second."""
    count, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds or not count:
        work()
        count += 1
    return count / passed


def read_rate(folder: Path, size: int = _FILE_BYTES, seconds: float = 2.0) -> float:
    """Sequential read rate of this folder, in bytes per second.

    A new, unnamed file is evicted from the page cache before it is read, which needs no privileges;
    caches of a RAID controller or network drive remain in use.

    Args:
        size: maximum number of bytes to write.
        seconds: maximum time of writing.
    """
    block = np.random.default_rng(0).bytes(_BLOCK)  # incompressible
    with tempfile.TemporaryFile(dir=folder) as file:
        start = time.perf_counter()
        written = 0
        while written < size and (not written or time.perf_counter() - start < seconds):
            written += file.write(block)
        file.flush()
        fsync(file.fileno(), folder)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        start = time.perf_counter()
        while file.read(_BLOCK):
            pass
        return written / (time.perf_counter() - start)


def gather_rate(packs: PackCollection, seconds: float = _SECONDS, batch: int = 64) -> float:
    """Frames per second, gathered in random batches from packs in memory.

    The same batch is gathered repeatedly, so that the disk is not timed.
    """
    chosen = np.random.default_rng(0).integers(0, len(packs), batch)
    packs.gather(chosen)
    return batch * _rate(lambda: packs.gather(chosen), seconds)


def examine_decoding(folder: Path, cores: float) -> Finding:
    rate = decode_rate(folder)
    minutes = CORPUS / rate / max(1.0, cores) / 60
    advice = f"making a pack of XA-170K takes {minutes:.0f} min on {cores:g} cores, once"
    value = f"{rate:.0f} PNG files of {_SIDE}² per second and core"
    return judged("decoding", value, rate >= SLOW_DECODING, advice)


def examine_room(folder: Path) -> Finding:
    """Free disk space for runs; the folder need not exist.

    Raises:
        InputError: the folder is a file or not writable.
    """
    place = existing(folder)
    free = shutil.disk_usage(place).free
    advice = "checkpoints of a run at scale paper may not fit; free some space, or use --work"
    state = "note" if free >= _NO_ROOM else "missing"
    return judged("room for runs", f"{amount(free)} free in {folder}", free >= ROOM, advice, state)


def existing(folder: Path) -> Path:
    """The folder, or its nearest existing parent.

    Raises:
        InputError: it is a file or not writable.
    """
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise InputError(f"{place}: not a folder; choose another --work")
    if not os.access(place, os.W_OK):
        raise InputError(f"{place}: not writable; choose another --work")
    return place


def examine_disks(folders: Sequence[Path], wanted: int, frame_bytes: int) -> Iterator[Finding]:
    """Read rates, compared with `wanted` frames per second; each disk is measured once."""
    disks: dict[int, Path] = {}
    for folder in folders:
        disks.setdefault(folder.stat().st_dev, folder)
    for folder in disks.values():
        if not os.access(folder, os.W_OK):
            advice = "its speed was not measured, since that needs a file there"
            yield Finding("disk", f"{folder}: read-only", "note", advice)
            continue
        rate = read_rate(folder)
        advice = (
            f"{rate / frame_bytes:.0f} frames per second, {wanted} are needed: the first epoch "
            "waits for the disk, and every epoch if the packs exceed memory; use a local SSD"
        )
        value = f"{rate / 1e6:.0f} MB/s sequential read, {folder}"
        yield judged("disk", value, rate >= wanted * frame_bytes, advice)


def examine_packs(packs: PackCollection, wanted: int) -> Iterator[Finding]:
    """Gather rate of the packs for pre-training, and whether they have vessel masks."""
    rate = gather_rate(packs)
    advice = f"{wanted} are needed: memory is slow, or other processes use it"
    value = f"{rate:.0f} frames of {packs.size}² per second and process, at random, in memory"
    yield judged("gathering", value, rate >= wanted, advice)
    if not packs.has_anatomy:
        advice = f"methods that need it will fail; run extract_anatomy.py {packs.without_anatomy}"
        yield Finding("anatomy", f"none in {packs.without_anatomy}", "note", advice)


def examine_storage(
    work: Path, place: Path, packs: PackCollection | None, on_gpu: bool, frame_bytes: int
) -> Iterator[Finding]:
    """Free space, disks and decoding, and packs, if any."""
    wanted = WANTED_ON_GPU if on_gpu else WANTED_ON_CPU
    yield examine_room(work)
    folders = [place, *(pack.path for pack in packs.packs)] if packs else [place]
    yield from examine_disks(folders, wanted, frame_bytes)
    yield examine_decoding(place, usable_cores())
    if packs:
        yield from examine_packs(packs, wanted)


def bytes_per_frame(packs: PackCollection | None) -> int:
    """Bytes of a frame and its vessel mask; of the published size without packs."""
    size = _SIDE if packs is None else packs.size
    mask = size * size // 8 if packs is None or packs.has_anatomy else 0
    return size * size + mask
