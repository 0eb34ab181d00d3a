"""The checkpoints of a run as files: where they lie, their order, and when they are removed.

Needs no torch, so that a sweep can look at its runs.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.files import list_folder
from benchmark.files.locking import LOCK, remove_left

DESCRIPTION = "run.json"

_CHECKPOINT = re.compile(r"epoch_(\d+)(?:_step_(\d+))?\.pth")


def cell_folder(work: Path, protocol: str | None, method: str, dataset: str, seed: int) -> Path:
    """Where a cell of the benchmark is fine-tuned.

    Args:
        work: the folder all runs of a scale live in.
        protocol: a folder of ``configs/downstream/``; None for the usual configs.
    """
    return work / method / "finetune" / (protocol or "") / dataset / f"seed{seed}"


def features_folder(work: Path, protocol: str | None, method: str, dataset: str) -> Path:
    """Where the features of a method's encoder on a dataset are kept, see `cell_folder`."""
    return work / method / "features" / (protocol or "") / dataset


def checkpoint_paths(folder: Path) -> list[Path]:
    """Checkpoints in a run folder, newest first."""
    found = [
        (int(match[1]), int(match[2] or 0), path)
        # A folder that cannot be listed does not count as one without checkpoints.
        for path in (list_folder(folder, "epoch_*.pth") if folder.is_dir() else ())
        if (match := _CHECKPOINT.fullmatch(path.name))
    ]
    return [path for *_, path in sorted(found, reverse=True)]


def prune_checkpoints(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints."""
    for path in checkpoint_paths(folder)[keep:]:
        path.unlink(missing_ok=True)


def tidy_finished(folder: Path, keep: int) -> None:
    """Remove what a finished run was killed before it could remove: checkpoints and its lock.

    Args:
        folder: of the run; need not exist. One held by another process is left alone.
        keep: checkpoints that stay.
    """
    if (folder / DESCRIPTION).is_file():
        remove_left(folder / LOCK, *checkpoint_paths(folder)[keep:])
