"""Checkpoints: complete, verified byte for byte, and nothing but tensors and plain values.

Written tmp → fsync → rename and opened again before an older one is pruned, so that at every moment
at least one good file exists. A file ends with the sha256 of all that is before it: neither torch
nor a zip archive's checksums notice every damaged byte. If the newest file is damaged or from
another run, the one before it is used.
"""

from __future__ import annotations

import hashlib
import os
import re
from itertools import count
from mmap import mmap
from pathlib import Path
from typing import IO, Annotated, Any, ClassVar

import torch
from pydantic import ConfigDict, Field, InstanceOf
from typing_extensions import TypedDict

from benchmark.errors import InputError
from benchmark.files import atomic_write
from benchmark.files.contents import refuse_other_content
from benchmark.schemas import Amount, Count, Schema, validate
from benchmark.training.checkpoints.run_files import checkpoint_paths, prune_checkpoints
from benchmark.weights import load_plain

FORMAT = 1
_DIGEST = re.compile(rb"sha256 ([0-9a-f]{64})\n")
_DIGEST_SIZE = 72


class Identity(TypedDict):
    """What identifies a run, with the hashes of its data and of the weights it builds on."""

    __pydantic_config__ = ConfigDict(extra="allow", strict=True)
    seed: int
    config_hash: str


class ParameterGroup(TypedDict):
    """A parameter group of an optimiser, with its settings."""

    __pydantic_config__ = ConfigDict(extra="allow", strict=True)
    lr: Any


class OptimizerState(TypedDict):
    """State dict of an optimiser."""

    state: dict[Count, dict[str, Any]]
    param_groups: list[ParameterGroup]


class LogState(TypedDict):
    """State of the log (`benchmark.training.hooks.LogHook.state`)."""

    steps: list[dict[str, Annotated[float, Field(allow_inf_nan=True)]]]
    skipped: Count
    in_a_row: Count


class Checkpoint(Schema):
    """The state of a run after `step` steps, which took `seconds`.

    Randomness is stateless, so neither generators nor the position in the data are part of it.
    """

    later: ClassVar[frozenset[str]] = frozenset({"device_seconds"})

    epoch: Count  # complete epochs done
    step: Count  # steps done over the complete run; within an epoch, more than those of `epoch`
    identity: Identity
    seconds: Amount
    # Device → these seconds times the number of processes, over all executions; None: not known.
    device_seconds: dict[str, Amount] | None = None
    model: dict[str, InstanceOf[torch.Tensor]]
    optimizer: OptimizerState
    log: LogState = {"steps": [], "skipped": 0, "in_a_row": 0}
    within: bool = False  # whether it was written within an epoch

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
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise InputError(f"{path}: not a checkpoint of this project (format {FORMAT})")
    return validate(Checkpoint, content, path, complete=True)


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


def newest_checkpoint(
    folder: Path, identity: dict[str, Any] | None = None
) -> tuple[Checkpoint | None, dict[Path, str]]:
    """The newest usable checkpoint of a run, and what is wrong with newer ones.

    Args:
        identity: of the run; a file of another one counts as unusable. None accepts any run.

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

    Takes what `newest_checkpoint` found wrong with them; returns a line about each.
    """
    lines = []
    for path, problem in problems.items():
        names = (path.with_name(f"{path.name}.unusable-{number}") for number in count(1))
        free = next(name for name in names if not name.exists())
        path.rename(free)
        lines.append(f"warning: {problem}; kept as {free.name}; using the one before")
    return lines
