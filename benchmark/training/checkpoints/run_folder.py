"""The folder of one run: one process at a time, and no foreign files are removed."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.files import read_json, remove_written
from benchmark.files.locking import LOCK
from benchmark.files.temporary import TEMPORARY
from benchmark.training.checkpoints.checkpoint import read_checkpoint
from benchmark.training.checkpoints.run_files import (
    DESCRIPTION,
    checkpoint_paths,
    prune_checkpoints,
)

#: What a run writes beside its checkpoints and exports. Those are removed after it, so a kill in
#: between leaves its description, a checkpoint or an export, which identifies it.
WRITTEN = (
    *("metrics.jsonl", "train.log", "nonfinite/step_*.json", f"nonfinite/{TEMPORARY}"),
    *("mmengine/*/*.log", "mmengine/*/vis_data/*", "mmengine/vis_data/*"),
    *("mmengine/vis_data/vis_image/*.png", "mmengine/vis_data/wandb/**/*"),
    *(DESCRIPTION, TEMPORARY, "epoch_[0-9]*.pth.unusable-[0-9]*"),
)

# What may lie there before the description does.
_EARLY = (LOCK, TEMPORARY, "mmengine")


def read_description(folder: Path) -> dict[str, Any] | None:
    """What ``run.json`` says; None where there is none, or it is damaged."""
    path = folder / DESCRIPTION
    if not path.exists():
        return None
    try:
        content = read_json(path)
    except InputError:
        return None
    if not isinstance(content, dict) or "config_hash" not in content:
        raise InputError(f"{path}: not written by a run of this project; choose another folder")
    return content


def holds_run(folder: Path, exports: Collection[str] = ()) -> bool:
    """Whether a folder, which need not exist, holds a run: its description, a checkpoint or one of
    the networks it `exports`.

    Raises:
        InputError: it holds foreign files and no run: nothing may be written there.
    """
    if read_description(folder) is not None or any(map(_is_ours, checkpoint_paths(folder))):
        return True
    exported = set(export_files(exports))
    # Empty folders hold nothing to lose; a clearing that was killed leaves some.
    names = sorted(
        path.name
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.is_symlink() or not path.is_dir() or any(path.iterdir())
    )
    foreign = [
        name
        for name in names
        if name not in exported and not any(fnmatch(name, pattern) for pattern in _EARLY)
    ]
    if foreign:
        raise InputError(
            f"{folder}: holds files that no run of this project has written (first: {foreign[0]}); "
            "choose another folder"
        )
    return any(name in exported for name in names)


def _is_ours(checkpoint: Path) -> bool:
    """Whether this project wrote a checkpoint; other trainers use the same names."""
    try:
        read_checkpoint(checkpoint)
    except InputError:
        return False
    return True


def export_files(exports: Collection[str]) -> list[str]:
    return [f"{name}.{end}" for name in exports for end in ("safetensors", "json")]


def clear_run(folder: Path, exports: Collection[str] = ()) -> None:
    """Remove what a run has written, and nothing else."""
    remove_written(folder, WRITTEN)
    prune_checkpoints(folder, keep=0)
    remove_written(folder, export_files(exports))
