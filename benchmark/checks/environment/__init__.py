"""What a machine offers, what will be slow on it and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: From good to bad: as it should be; works, but not as recorded results were made; works, but
#: slowly; something will fail.
STATES = ("ok", "note", "slow", "missing")


@dataclass(frozen=True)
class Finding:
    """What was looked at and what it means."""

    name: str  # what was looked at
    value: str  # what was found, in a few words
    state: str = "ok"  # one of `STATES`
    advice: str = ""  # why this is a problem and what mends it; empty where the state is ``"ok"``


def judged(name: str, value: str, good: bool, advice: str, otherwise: str = "slow") -> Finding:
    """A finding that is ok if `good`, else of the state `otherwise` with its advice."""
    return Finding(name, value) if good else Finding(name, value, otherwise, advice)


def amount(size: float) -> str:
    """Bytes in words: ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def examine(work: Path, packs: Sequence[Path] = ()) -> Iterator[tuple[str, Finding]]:
    """Look at software, processors and storage, in some ten seconds; each finding as it is made.

    Nothing is left on the disk, and a GPU is used for a moment only.

    Args:
        work: the folder runs live in; it need not exist.
        packs: the packs to be trained on.

    Yields:
        The section of the report, and the finding.

    Raises:
        InputError: `work` cannot be written to, a pack cannot be opened, or the lock is damaged.
    """
    from benchmark.checks.environment import processors, software, storage
    from benchmark.data.packs import open_packs

    # Bad input first: it should not take ten seconds to be told of it.
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
