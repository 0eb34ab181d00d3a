"""What a machine offers, what will be slow on it and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.checks.environment.findings import STATES, Finding

__all__ = ["STATES", "Finding", "examine"]


def examine(work: Path, packs: Sequence[Path] = ()) -> Iterator[Finding]:
    """Look at software, processors and storage, in some ten seconds; each finding as it is made.

    Nothing is left on the disk, and a GPU is used for a moment only.

    Args:
        work: the folder runs live in; it need not exist.
        packs: the packs to be trained on.

    Raises:
        InputError: `work` cannot be written to, a pack cannot be opened, or the lock is damaged.
    """
    from benchmark.checks.environment import processors, software, storage
    from benchmark.data.packs import open_packs

    # Bad input first: it should not take ten seconds to be told of it.
    place = storage.existing(work)
    opened = open_packs(packs) if packs else None
    frame_bytes = storage.bytes_per_frame(opened)
    yield from software.examine_software()

    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    yield software.examine_compiler(gpus > 0)
    yield from processors.examine_gpus()
    yield from processors.examine_cpu(gpus)
    yield processors.examine_memory(len(opened) * frame_bytes if opened else 0)
    yield from processors.examine_limits(max(1, gpus), frame_bytes)

    wanted = storage.WANTED_ON_GPU if gpus else storage.WANTED_ON_CPU
    yield storage.examine_room(work)
    folders = [place, *(pack.path for pack in opened.packs)] if opened else [place]
    yield from storage.examine_disks(folders, wanted, frame_bytes)
    yield storage.examine_decoding(place, processors.usable_cores())
    if opened:
        yield from storage.examine_packs(opened, wanted)
