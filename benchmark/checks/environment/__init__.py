"""Check of a machine: software, processors and storage; what will be slow, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: From best to worst: fine; works, but not in the environment of recorded results; works, but
#: slowly; something will fail.
STATES = ("ok", "note", "slow", "missing")


@dataclass(frozen=True)
class Finding:
    """One finding of the check."""

    name: str  # what was checked
    value: str  # what was found, in a few words
    state: str = "ok"  # one of `STATES`
    advice: str = ""  # why this is a problem and how to fix it; empty if ``"ok"``


def judged(name: str, value: str, good: bool, advice: str, otherwise: str = "slow") -> Finding:
    """A finding that is ok if `good`, else in state `otherwise` with its advice."""
    return Finding(name, value) if good else Finding(name, value, otherwise, advice)


def amount(size: float) -> str:
    """Human-readable number of bytes, as ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def examine(work: Path, packs: Sequence[Path] = ()) -> Iterator[tuple[str, Finding]]:
    """Check software, processors and storage in about ten seconds, one finding at a time.

    Leaves nothing on the disk, and uses a GPU only briefly.

    Args:
        work: folder of the runs; it need not exist.
        packs: packs for pre-training.

    Yields:
        Section of the report, and finding.

    Raises:
        InputError: `work` cannot be written to, a pack cannot be opened, or the lock is damaged.
    """
    from benchmark.checks.environment import processors, software, storage
    from benchmark.data.packs import open_packs

    # Bad input fails before anything is measured.
    place = storage.existing(work)
    opened = open_packs(packs) if packs else None
    frame_bytes = storage.bytes_per_frame(opened)
    for found in software.examine_software():
        yield "software", found

    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    yield "software", software.examine_compiler(gpus > 0)
    pack_bytes = len(opened) * frame_bytes if opened else 0
    for found in processors.examine_processors(gpus, frame_bytes, pack_bytes):
        yield "processors", found
    for found in storage.examine_storage(work, place, opened, gpus > 0, frame_bytes):
        yield "storage", found
