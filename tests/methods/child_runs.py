"""Training runs in forked children, which can be killed, and what they leave compared."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from benchmark.errors import InputError
from benchmark.training.checkpoints.checkpoint import checkpoint_paths, read_checkpoint
from benchmark.training.distributed.signals import RunEnded
from benchmark.training.hooks import StepHook
from benchmark.training.train import train

# What was imported and set up by a first run need not be again: a child of one that has trained
# takes a tenth of the time.
_FORK = multiprocessing.get_context("fork")
Before = Callable[[], Any]


def _run(config: Config, folder: Path, before: Before | None, out: Path, pair: Path | None) -> None:
    os.setpgid(0, 0)  # signals to the group of a run are not for the tests
    sys.stdout = sys.stderr = out.open("a", encoding="utf-8", buffering=1)
    torch.set_num_threads(1)
    if pair is not None:
        rank = int(os.environ["RANK"])
        where = f"file://{pair}"
        torch.distributed.init_process_group("gloo", where, rank=rank, world_size=2)
    if before is not None:
        before()
    try:
        train(config, folder, "test", resume=True, overwrite=False)
    except RunEnded as end:
        sys.exit(end.exit_code)
    except InputError as error:
        print(f"error: {error}")
        sys.exit(2)


def start(
    config: Config,
    folder: Path,
    before: Before | None = None,
    out: Path = Path(os.devnull),
    pair: Path | None = None,
    rank: int = 0,
) -> Any:
    """Start or resume a run in a child process.

    Args:
        config: of the run.
        folder: run folder.
        before: called in the child before the run.
        out: file its output is appended to.
        pair: rendezvous of two processes.
        rank: of this one.
    """
    os.environ["RANK"] = str(rank)
    process = _FORK.Process(target=_run, args=(config, folder, before, out, pair))
    process.start()
    del os.environ["RANK"]
    return process


def finish(config: Config, folder: Path, **options: Any) -> int:
    """Run in a child to its end; returns the exit code, −9 where it was killed."""
    process = start(config, folder, **options)
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def finish_pair(config: Config, folder: Path, meet: Path) -> list[int]:
    """Exit codes of a run in two processes, which join in the file `meet`."""
    pair = [start(config, folder, pair=meet, rank=rank) for rank in range(2)]
    for process in pair:
        process.join(120)
    return [process.exitcode for process in pair]


def signal_at_step(step: int, number: signal.Signals, whole_group: bool = False) -> Before:
    """To be called in a child: have the run signalled when step `step`, from 1, begins."""

    def prepare() -> None:
        usual = StepHook.before_train_iter

        def signalled(self: StepHook, runner: Any, *rest: Any, **named: Any) -> None:
            usual(self, runner, *rest, **named)
            if runner.iter + 1 == step:
                (os.killpg if whole_group else os.kill)(os.getpid(), number)

        StepHook.before_train_iter = signalled

    return prepare


def seal(path: Path, content: Any) -> None:
    """Write anything as a checkpoint is written, with the digest of its bytes at the end."""
    torch.save(content, path)
    data = path.read_bytes()
    path.write_bytes(data + f"sha256 {hashlib.sha256(data).hexdigest()}\n".encode())


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log, without what depends on the clock."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "images_per_s"} for line in lines]


def assert_same_end(folder: Path, reference: Path) -> None:
    """Two finished runs left the same log, weights, state of the optimiser and exports."""
    assert read_log(folder) == read_log(reference)
    one, two = (read_checkpoint(checkpoint_paths(run)[0]) for run in (folder, reference))
    assert (one.epoch, one.step, one.log) == (two.epoch, two.step, two.log)
    assert one.model.keys() == two.model.keys()
    assert all(torch.equal(one.model[name], two.model[name]) for name in one.model)
    states = one.optimizer["state"], two.optimizer["state"]
    assert states[0].keys() == states[1].keys()
    for key, state in states[0].items():
        assert all(torch.equal(state[name], states[1][key][name]) for name in state)
    for name in ("encoder.safetensors", "segmentor.safetensors"):
        if (reference / name).exists():
            assert (folder / name).read_bytes() == (reference / name).read_bytes()
    assert not list(folder.glob("*.tmp"))
