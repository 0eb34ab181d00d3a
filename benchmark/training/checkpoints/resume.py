"""Where a run begins: at its start, after a checkpoint, or not at all since it is finished."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.dist import get_world_size

from benchmark.errors import InputError
from benchmark.files import write_json
from benchmark.results import collect_provenance
from benchmark.temporary_files import remove_leftovers
from benchmark.training.checkpoints.checkpoint import (
    Checkpoint,
    checkpoint_paths,
    newest_checkpoint,
    put_aside,
)
from benchmark.training.checkpoints.run_folder import (
    DESCRIPTION,
    clear_run,
    holds_run,
    read_description,
)
from benchmark.training.config import config_differences
from benchmark.training.distributed.agreement import broadcast_from_main, share_checkpoint

#: Of an identity: two runs that differ in one of them are not the same.
SAME_RUN = ("config_hash", "corpus_hash", "weights")

History = list[dict[str, int]]
"""How a run was executed: from which step on, by how many processes, of how many parts each."""


@dataclass
class RunStart:
    """What the main process has found in the folder of a run, and made of it.

    Attributes:
        finished: nothing is left to be done.
        checkpoint: what is resumed; None: the run starts over.
        history: see `History`; the last entry is that of this execution.
        notes: lines for the screen.
    """

    finished: bool = False
    checkpoint: Checkpoint | None = None
    history: History = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def open_run(
    folder: Path,
    identity: dict[str, Any],
    seed: int,
    exports: Collection[str],
    split: tuple[int, int],
    resume: bool,
    overwrite: bool,
) -> RunStart:
    """Decide where a run begins, and prepare its folder.

    The main process alone looks at the folder and changes it; the others get what it decided, and
    what it read.

    Args:
        folder: of the run, held by the main process.
        identity: of the run, as in ``run.json``.
        seed: of the run.
        exports: names of the networks it exports.
        split: samples of a batch, and parts that each process cuts its share into.
        resume, overwrite: as the command line has them.

    Raises:
        InputError: as `earlier_run`; or no checkpoint can be used.
    """
    own = RunStart()

    def decide() -> tuple[bool, str | None, History, list[str]]:
        nonlocal own
        own = _decide(folder, identity, seed, exports, split, resume, overwrite)
        name = own.checkpoint.name if own.checkpoint else None
        return own.finished, name, own.history, own.notes

    finished, name, history, notes = broadcast_from_main(decide)
    checkpoint = None if name is None else share_checkpoint(folder / name, own.checkpoint)
    return RunStart(finished, checkpoint, history, notes)


def _decide(
    folder: Path,
    identity: dict[str, Any],
    seed: int,
    exports: Collection[str],
    split: tuple[int, int],
    resume: bool,
    overwrite: bool,
) -> RunStart:
    before = earlier_run(folder, identity, exports, resume, overwrite)
    if before is not None and "finished" in before:
        return RunStart(finished=True)
    checkpoint, notes = None, []
    if before is not None:
        checkpoint, problems = newest_checkpoint(folder, run_identity(identity, seed))
        notes = put_aside(problems)
    remove_leftovers(folder, exclusive=True)
    earlier = before.get("execution", []) if before is not None and checkpoint else []
    history = continue_history(earlier, checkpoint.step if checkpoint else 0, split[1])
    if checkpoint is None:
        clear_run(folder, exports)
    elif len(history) > 1 and history != earlier:
        notes.append(_split_note(*history[-2:], split[0]))
    if checkpoint is None or history != earlier or not (folder / DESCRIPTION).exists():
        write_json(folder / DESCRIPTION, {**identity, **collect_provenance(), "execution": history})
    return RunStart(checkpoint=checkpoint, history=history, notes=notes)


def run_identity(identity: dict[str, Any], seed: int) -> dict[str, Any]:
    """What of the identity of a run its checkpoints carry."""
    return {"seed": seed, **{key: identity[key] for key in SAME_RUN}}


def earlier_run(
    folder: Path, now: dict[str, Any], exports: Collection[str], resume: bool, overwrite: bool
) -> dict[str, Any] | None:
    """What `run.json` says of the run to resume; None where one starts from the beginning.

    A run that lost its `run.json` is resumed from its checkpoints, which know whose they are.

    Raises:
        InputError: the folder holds files of others; or a run, and neither `resume` nor
            `overwrite` is set, or `resume` is set and it is another run.
    """
    if not holds_run(folder, exports) or overwrite:
        return None
    before = read_description(folder)
    checkpoints = checkpoint_paths(folder)
    if before is not None and "finished" not in before and not checkpoints:
        return None  # it never got as far as anything worth keeping
    if not resume:
        raise InputError(
            f"{folder}: holds a run; add --resume to resume it, --overwrite to replace it"
        )
    if before is None:
        if not checkpoints:
            raise InputError(
                f"{folder}: holds an exported network, but neither run.json nor a checkpoint to "
                "resume from; --overwrite replaces it"
            )
        return now
    changed = changes(before, now)
    if changed:
        raise InputError(
            f"{folder}: --resume continues the same run, but it was started with other settings: "
            f"{'; '.join(changed)}; choose another --work-dir or --overwrite"
        )
    return before


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """In what two identities differ; empty where they are of the same run."""
    if all(before.get(key) == now[key] for key in SAME_RUN):
        return []
    changed = config_differences(before.get("config"), now["config"])
    changed += [
        line
        for key in SAME_RUN[1:]
        for line in config_differences(before.get(key), now[key], where=key)
    ]
    return changed or ["config hash"]


def continue_history(before: Any, step: int, parts: int) -> History:
    """The history of a run that goes on after `step` with so many parts on each process.

    Args:
        before: what ``run.json`` says; of steps that are repeated now, it is forgotten.
        step: steps that are done.
        parts: of the batch, on each process.
    """
    kept = [entry for entry in before if entry["from_step"] < step] if _is_history(before) else []
    now = {"processes": get_world_size(), "parts": parts}
    if not kept or any(kept[-1][key] != now[key] for key in now):
        kept.append({"from_step": step, **now})
    return kept


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(entry, dict)
        and entry.keys() == {"from_step", "processes", "parts"}
        and all(type(number) is int for number in entry.values())
        for entry in value
    )


def _split_note(before: dict[str, int], now: dict[str, int], batch: int) -> str:
    """A warning about another number of processes or parts."""

    def words(entry: dict[str, int]) -> str:
        return f"{entry['processes']} × {entry['parts']}"

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
        f"warning: from step {now['from_step'] + 1} on {words(now)} processes × parts instead of "
        f"{words(before)}: {effect}; run.json records both"
    )
