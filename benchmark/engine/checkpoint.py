"""Checkpoints that are whole, verified, and hold tensors and plain values only.

Written tmp → fsync → rename and opened again before an older one is pruned, so that at every moment
at least one good file exists. A damaged newest file falls back to the one before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import InputError
from benchmark.files import atomic_write
from benchmark.weights import load_plain

FORMAT = 2  # 1 knew whole epochs only
_NAME = re.compile(r"epoch_(\d+)(?:_step_(\d+))?\.pth")


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` steps, which took `seconds`.

    Randomness is stateless, so neither generators nor the position in the data are part of it.

    Attributes:
        epoch: whole epochs that are done.
        step: steps that are done, over the whole run; within an epoch, more than those of `epoch`.
        seed, science_hash: identity of the run.
        model, optimizer: their state dicts.
        log: state of the log, JSON-able (`benchmark.engine.hooks.LogHook.state`).
        within: whether it was written within an epoch.
    """

    epoch: int
    step: int
    seed: int
    science_hash: str
    seconds: float
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    log: dict[str, Any] = field(default_factory=dict)
    within: bool = False

    @property
    def name(self) -> str:
        """Of its file: ``epoch_3.pth``, or within the fourth epoch ``epoch_3_step_1234.pth``."""
        return f"epoch_{self.epoch}{f'_step_{self.step}' if self.within else ''}.pth"

    @property
    def place(self) -> str:
        """Where it lies in the run, in words."""
        return f"epoch {self.epoch}" + (f", step {self.step}" if self.within else "")


def checkpoint_paths(folder: Path) -> list[Path]:
    """Checkpoints in a run folder, newest first."""
    found = [
        (int(match[1]), int(match[2] or 0), path)
        for path in folder.glob("epoch_*.pth")
        if (match := _NAME.fullmatch(path.name))
    ]
    return [path for *_, path in sorted(found, reverse=True)]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint, verify it, then prune all but the newest `keep`."""
    path = folder / checkpoint.name
    with atomic_write(path) as stream:
        torch.save({"format": FORMAT, **vars(checkpoint)}, stream)
    read_checkpoint(path)
    for old in checkpoint_paths(folder)[max(keep, 1) :]:
        old.unlink()
    return path


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint without running anything that is in it.

    Raises:
        InputError: the file is damaged, or not a checkpoint of this project.
    """
    content = load_plain(path)
    known = {"format", *(item.name for item in fields(Checkpoint))}
    if not isinstance(content, dict) or content.keys() != known or content["format"] != FORMAT:
        raise InputError(f"{path}: not a checkpoint of this project (format {FORMAT})")
    del content["format"]
    return Checkpoint(**content)


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest readable checkpoint of a run, and what was wrong with newer ones.

    Raises:
        InputError: there are checkpoints but none can be read.
    """
    problems = []
    for path in checkpoint_paths(folder):
        try:
            return read_checkpoint(path), problems
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError(f"{problems[0]}; no older one can be read either")
    return None, []
