"""The life of a run in its folder, the same for pre-training and fine-tuning.

A run starts over, resumes after a checkpoint, or has nothing left to do; ``run.json`` identifies
it and says how it was executed. One process at a time holds the folder, and no foreign files are
removed.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size

from benchmark.device import device_name
from benchmark.errors import InputError
from benchmark.files import read_json, remove_written, write_json
from benchmark.files.locking import LOCK, hold_folder
from benchmark.files.temporary import TEMPORARY, remove_leftovers
from benchmark.results import collect_provenance
from benchmark.training.checkpoints.checkpoint import (
    Checkpoint,
    newest_checkpoint,
    put_aside,
    read_checkpoint,
)
from benchmark.training.checkpoints.run_files import (
    DESCRIPTION,
    checkpoint_paths,
    prune_checkpoints,
)
from benchmark.training.config import config_differences
from benchmark.training.distributed import watchdog
from benchmark.training.distributed.agreement import broadcast_from_main, share_checkpoint
from benchmark.training.distributed.signals import StopSignals
from benchmark.training.screen import Screen
from benchmark.type_hints import fits

Existing = Literal["refuse", "resume", "resume or replace", "replace"]
"""What to do with a run in the folder. ``"resume"`` refuses another one, ``"resume or replace"``
replaces it."""

_USE = "being trained"  # what another process is told of the folder
_HISTORY = ("from_step", "processes", "parts")
History = list[dict[str, int]]
"""How a run was executed: from which step on, by how many processes, in how many parts each."""

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


@dataclass
class Run:
    """One run of a config in its folder.

    Attributes:
        finished: nothing is left to do.
        checkpoint: what is resumed; None: the run starts over.
        history: see `History`; the last entry is that of this execution.
        started: when its first execution began, ISO 8601.
    """

    folder: Path  # holds checkpoints, log, ``run.json`` and the exports
    title: str  # what lines on screen start with
    config: Config  # resolved
    # What identifies the run: ``seed``, ``config_hash`` and the hashes of its data and of the
    # weights it builds on; JSON-able. Part of ``run.json`` and every checkpoint.
    identity: dict[str, Any]
    # What else ``run.json`` says; ``config``, the resolved one, at least.
    description: dict[str, Any] = field(default_factory=dict)
    exports: Collection[str] = ()  # names of the networks it exports
    parts: int = 1  # of a batch, on each process
    stop: StopSignals = field(default_factory=StopSignals)  # signals that ask for a stop
    # When this execution began, in seconds since the epoch.
    begun: float = field(default_factory=time.time)
    live: bool = False  # one progress line instead of log lines, on a terminal
    screen: Screen = field(default_factory=Screen, init=False)
    finished: bool = field(default=False, init=False)
    checkpoint: Checkpoint | None = field(default=None, init=False)
    history: History = field(default_factory=list, init=False)
    started: str = field(default="", init=False)

    @property
    def seconds(self) -> float:
        """How long the run has taken so far, earlier executions included."""
        earlier = self.checkpoint.seconds if self.checkpoint else 0.0
        return earlier + time.time() - self.begun

    @property
    def device_seconds(self) -> dict[str, float] | None:
        """Device → seconds that the run has kept devices of that name busy, one for each process.

        Earlier executions are included, on whatever devices and however many processes they ran.
        None where the checkpoint is of an earlier version, which does not say it.
        """
        earlier = self.checkpoint.device_seconds if self.checkpoint else {}
        if earlier is None:
            return None
        name, now = device_name(), (time.time() - self.begun) * get_world_size()
        return {**earlier, name: earlier.get(name, 0.0) + now}

    def say(self, text: str) -> None:
        """Print a line, on the main process only."""
        if get_rank() == 0:
            print(text, flush=True)

    def check(self, existing: Existing) -> None:
        """Find what would keep the run from starting here; nothing is changed.

        Raises:
            InputError: see `opened`.
        """
        with hold_folder(self.folder, _USE) if self.folder.exists() else nullcontext():
            self._earlier(existing)

    @contextmanager
    def opened(self, existing: Existing) -> Iterator[None]:
        """Hold the folder for a block, with `finished` or `checkpoint` set as the run starts.

        The main process alone looks at the folder and changes it; the others get what it decided
        and what it read.

        Raises:
            InputError: another process holds the folder; it holds foreign files, or a run that
                `existing` does not allow; or no checkpoint can be used.
        """
        watchdog.note(0, "looking at the run folder")
        with ExitStack() as stack:
            broadcast_from_main(lambda: stack.enter_context(hold_folder(self.folder, _USE)))
            own: Checkpoint | None = None

            def begin() -> tuple[bool, str | None, History, str, list[str]]:
                nonlocal own
                finished, own, history, started, notes = self._begin(existing)
                return finished, own and own.name, history, started, notes

            self.finished, name, self.history, self.started, notes = broadcast_from_main(begin)
            if not self.finished and get_rank() == 0:
                stack.enter_context(self.screen.opened(self.folder, self.live))
            if name is not None:
                self.checkpoint = share_checkpoint(self.folder / name, own)
                notes.append(
                    f"{self.title}: resuming after {self.checkpoint.place}, of "
                    f"{self.config.epochs} epochs"
                )
            for note in notes:
                self.say(note)
            yield

    def _begin(self, existing: Existing) -> tuple[bool, Checkpoint | None, History, str, list[str]]:
        """Decide where the run starts and prepare its folder, on the main process.

        Returns `finished`, `checkpoint`, `history`, `started`, and lines for the screen.
        """
        folder = self.folder
        before = self._earlier(existing)
        if before is not None and "finished" in before:
            return True, None, [], "", []
        checkpoint, notes = None, []
        if before is not None:
            checkpoint, problems = newest_checkpoint(folder, self.identity)
            notes = put_aside(problems)
        remove_leftovers(folder, exclusive=True)
        if before is None or checkpoint is None:
            before = {}
        earlier, step = before.get("execution", []), checkpoint.step if checkpoint else 0
        started = before.get("started", utc(self.begun))
        history = continue_history(earlier, step, self.parts)
        if checkpoint is None:
            clear_run(folder, self.exports)
        elif len(history) > 1 and history != earlier:
            notes.append(_split_note(*history[-2:], self.config.batch_size))
        if checkpoint is None or history != earlier or not (folder / DESCRIPTION).exists():
            self._describe(execution=history, started=started)
        return False, checkpoint, history, started, notes

    def _describe(self, **more: Any) -> None:
        content = {**self.identity, **self.description, **collect_provenance(), **more}
        write_json(self.folder / DESCRIPTION, content)

    def _earlier(self, existing: Existing) -> dict[str, Any] | None:
        """What ``run.json`` says about the run to resume; None where the run starts over.

        A run that lost its ``run.json`` is resumed from its checkpoints, which identify it.
        """
        if not holds_run(self.folder, self.exports) or existing == "replace":
            return None
        before = read_description(self.folder)
        checkpoints = checkpoint_paths(self.folder)
        if before is not None and "finished" not in before and not checkpoints:
            return None  # it left nothing worth keeping
        if existing == "refuse" and (before is not None or checkpoints):
            raise InputError(f"{self.folder}: {_found(before, checkpoints)}")
        if before is None:
            if existing == "resume or replace":
                return None
            if not checkpoints:
                raise InputError(
                    f"{self.folder}: holds an exported network, but neither run.json nor a "
                    "checkpoint to resume from; --overwrite replaces it"
                )
            return {}
        changed = differences(before, {**self.identity, **self.description}, self.identity)
        if changed and existing == "resume or replace":
            return None
        if changed:
            raise InputError(
                f"{self.folder}: --resume continues the same run, but it was started with other "
                f"settings: {'; '.join(changed)}; choose another --work-dir or --overwrite"
            )
        return before

    def finish(self, finished: dict[str, Any] | None = None) -> None:
        """Write how the run finished, if given, to ``run.json``, and prune the checkpoints."""
        if finished is not None:
            self._describe(execution=self.history, started=self.started, finished=finished)
        prune_checkpoints(self.folder, self.config.keep_checkpoints)


def _found(before: dict[str, Any] | None, checkpoints: list[Path]) -> str:
    """What a folder holds, and what its user can do: a run that is finished or interrupted."""
    if before is not None and "finished" in before:
        return "holds a finished run; choose another --work-dir, or --overwrite to replace it"
    return (
        f"holds an interrupted run; add --resume to resume it after {checkpoints[0].name}, "
        "--overwrite to replace it"
    )


def utc(seconds: float) -> str:
    """A time in seconds since the epoch as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def differences(
    before: dict[str, Any], now: dict[str, Any], identity: Collection[str]
) -> list[str]:
    """How two ``run.json`` differ, as ``key: old → new``; nothing if they have one identity."""
    if all(before.get(key) == now[key] for key in identity):
        return []
    changed = config_differences(before.get("config"), now["config"])
    for key in identity:
        if key not in ("config_hash", "seed"):  # what makes them differ is in the config
            changed += config_differences(before.get(key), now[key], where=key)
    return changed or ["config hash"]


def continue_history(before: Any, step: int, parts: int) -> History:
    """The history of a run that resumes after `step` with `parts` parts on each process.

    What ``run.json`` said before of steps that are repeated now is dropped.
    """
    kept = [entry for entry in before if entry["from_step"] < step] if _is_history(before) else []
    now = {"processes": get_world_size(), "parts": parts}
    if not kept or any(kept[-1][key] != now[key] for key in now):
        kept.append({"from_step": step, **now})
    return kept


def _is_history(value: Any) -> bool:
    entries = fits(value, list[dict[str, int]])
    return entries and all(entry.keys() == set(_HISTORY) for entry in value)


def _split_note(before: dict[str, int], now: dict[str, int], batch: int) -> str:
    """A warning about another number of processes or parts."""
    splits = [f"{entry['processes']} × {entry['parts']}" for entry in (before, now)]
    sizes = [batch // (entry["processes"] * entry["parts"]) for entry in (before, now)]
    if sizes[0] == sizes[1]:
        effect = (
            "sums are rounded in another order, which changes the last bits of the result, and "
            "more than these where batch normalisation looks at the batch of a process"
        )
    else:
        effect = (
            f"a forward pass has {sizes[1]} samples instead of {sizes[0]}, which changes the result"
        )
    return (
        f"warning: from step {now['from_step'] + 1} on {splits[1]} processes × parts instead of "
        f"{splits[0]}: {effect}; run.json records both"
    )


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
