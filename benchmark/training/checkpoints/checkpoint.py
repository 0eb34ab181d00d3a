"""Checkpoints: complete, verified byte for byte, and nothing but tensors and plain values.

Written tmp → fsync → rename and opened again before an older one is pruned, so that at every moment
at least one good file exists. A file ends with the sha256 of all that is before it: neither torch
nor a zip archive's checksums notice every damaged byte. A newest file that is damaged, or of
another run, falls back to the one before.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from itertools import count
from math import isfinite
from mmap import mmap
from pathlib import Path
from typing import IO, Any

import torch

from benchmark.errors import InputError
from benchmark.files import atomic_write
from benchmark.training.checkpoints.run_files import checkpoint_paths, prune_checkpoints
from benchmark.weights import load_plain, refuse_other_content

FORMAT = 1
_DIGEST = re.compile(rb"sha256 ([0-9a-f]{64})\n")
_DIGEST_SIZE = 72


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` steps, which took `seconds`.

    Randomness is stateless, so neither generators nor the position in the data are part of it.

    Attributes:
        epoch: complete epochs done.
        step: steps done over the complete run; within an epoch, more than those of `epoch`.
        identity: what makes the run this run: ``seed``, ``config_hash`` and the hashes of its data
            and of the weights it builds on; JSON-able.
        model, optimizer: their state dicts.
        log: state of the log, JSON-able (`benchmark.training.hooks.LogHook.state`).
        within: whether it was written within an epoch.
    """

    epoch: int
    step: int
    identity: dict[str, Any]
    seconds: float
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    log: dict[str, Any] = field(default_factory=lambda: {"steps": [], "skipped": 0, "in_a_row": 0})
    within: bool = False

    @property
    def name(self) -> str:
        """File name: ``epoch_3.pth``, or within the fourth epoch ``epoch_3_step_1234.pth``."""
        return f"epoch_{self.epoch}{f'_step_{self.step}' if self.within else ''}.pth"

    @property
    def place(self) -> str:
        """Where it lies in the run, human-readable."""
        return f"epoch {self.epoch}" + (f", step {self.step}" if self.within else "")


class _HashingStream:
    """Forward what is written to a stream, and hash it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint, verify it, then prune all but the newest `keep`."""
    path = folder / checkpoint.name
    with atomic_write(path) as stream:
        hashing = _HashingStream(stream)
        torch.save({"format": FORMAT, **vars(checkpoint)}, hashing)
        stream.write(f"sha256 {hashing.digest.hexdigest()}\n".encode())
    read_checkpoint(path)
    prune_checkpoints(folder, max(keep, 1))
    return path


def read_checkpoint(path: Path, stream: IO[bytes] | mmap | None = None) -> Checkpoint:
    """Read one checkpoint without executing anything in it.

    Args:
        path: the file.
        stream: read this instead; `path` then only appears in errors.

    Raises:
        InputError: the file is damaged or not a checkpoint of this project, its format is unknown,
            or a value in it has the wrong type.
    """
    if stream is not None:
        return _read(stream, path)
    if not path.is_file():
        raise InputError(f"{path}: no such file" if not path.exists() else f"{path}: not a file")
    try:
        with path.open("rb") as stream:
            return _read(stream, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _read(stream: IO[bytes] | mmap, path: Path) -> Checkpoint:
    _verify(stream, path)
    stream.seek(0)
    content = load_plain(path, stream)
    known = {"format", *(item.name for item in fields(Checkpoint))}
    if not isinstance(content, dict) or content.keys() != known or content["format"] != FORMAT:
        raise InputError(f"{path}: not a checkpoint of this project (format {FORMAT})")
    del content["format"]
    for name, (fits, meaning) in _VALUES.items():
        if not fits(content[name]):
            raise InputError(f"{path}: its {name!r} is not {meaning}")
    return Checkpoint(**content)


def _verify(stream: IO[bytes] | mmap, path: Path) -> None:
    """Compare a file with the sha256 at its end; 1.3 GB take about a second."""
    digest = hashlib.sha256()
    stream.seek(0, os.SEEK_END)
    left = stream.tell() - _DIGEST_SIZE
    stream.seek(0)
    while left > 0 and (block := stream.read(min(left, 1 << 20))):
        digest.update(block)
        left -= len(block)
    end = _DIGEST.fullmatch(stream.read(_DIGEST_SIZE + 1))
    if end is None:
        refuse_other_content(path)
        raise InputError(
            f"{path}: damaged, or not a checkpoint of this project (format {FORMAT}): it does not "
            "end with its sha256; weights of others go through tools/convert_checkpoint.py"
        )
    if end[1].decode() != digest.hexdigest():
        raise InputError(f"{path}: damaged (sha256 differs)")


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _named(value: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(one, kind) for name, one in value.items()
    )


def _is_identity(value: Any) -> bool:
    return (
        _named(value, object)
        and type(value.get("seed")) is int
        and isinstance(value.get("config_hash"), str)
    )


def _is_optimizer(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"state", "param_groups"}
        and isinstance(value["state"], dict)
        and all(_count(key) and _named(one, object) for key, one in value["state"].items())
        and isinstance(value["param_groups"], list)
        and all(_named(group, object) and "lr" in group for group in value["param_groups"])
    )


def _is_log(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"steps", "skipped", "in_a_row"}
        and isinstance(value["steps"], list)
        and all(_named(terms, float) for terms in value["steps"])
        and _count(value["skipped"])
        and _count(value["in_a_row"])
    )


# Which values a checkpoint may hold, and how errors describe them.
_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epoch": (_count, "a number of epochs"),
    "step": (_count, "a number of steps"),
    "identity": (_is_identity, "the identity of a run"),
    "seconds": (
        lambda value: type(value) in (int, float) and isfinite(value) and value >= 0,
        "a time",
    ),
    "model": (lambda value: _named(value, torch.Tensor), "a state dict"),
    "optimizer": (_is_optimizer, "the state of an optimiser"),
    "log": (_is_log, "the state of a log"),
    "within": (lambda value: isinstance(value, bool), "true or false"),
}


def newest_checkpoint(
    folder: Path, identity: dict[str, Any] | None = None
) -> tuple[Checkpoint | None, dict[Path, str]]:
    """The newest usable checkpoint of a run, and what is wrong with newer ones.

    Args:
        folder: of the run.
        identity: of the run, as in `Checkpoint`; a file of another run counts as unusable. None
            accepts any run.

    Raises:
        InputError: there are checkpoints, but none is usable.
    """
    problems: dict[Path, str] = {}
    for path in checkpoint_paths(folder):
        try:
            checkpoint = read_checkpoint(path)
            if checkpoint.name != path.name:
                raise InputError(f"{path}: holds the checkpoint {checkpoint.name}")
            if identity is not None and checkpoint.identity != identity:
                raise InputError(f"{path}: of another run ({_changed(identity, checkpoint)})")
        except InputError as error:
            problems[path] = str(error)
        else:
            return checkpoint, problems
    if problems:
        first = next(iter(problems.values()))
        raise InputError(
            f"{first}; there is no older one that can be used: put one back, or --overwrite"
        )
    return None, {}


def _changed(identity: dict[str, Any], checkpoint: Checkpoint) -> str:
    """The first part of its identity in which a checkpoint differs from a run."""
    found = checkpoint.identity
    if found["seed"] != identity["seed"]:
        return f"seed {found['seed']} instead of {identity['seed']}"
    names = [name for name in {**identity, **found} if found.get(name) != identity.get(name)]
    return f"its {names[0]} differs"


def put_aside(problems: dict[Path, str]) -> list[str]:
    """Rename unusable checkpoints, so that they are neither read nor pruned.

    Args:
        problems: files and what is wrong with them, from `newest_checkpoint`.

    Returns:
        A line about each, for the screen.
    """
    lines = []
    for path, problem in problems.items():
        names = (path.with_name(f"{path.name}.unusable-{number}") for number in count(1))
        free = next(name for name in names if not name.exists())
        path.rename(free)
        lines.append(f"warning: {problem}; kept as {free.name}; using the one before")
    return lines
