"""Processes of one run: the main process decides, all have the same, or all stop with a line."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from child_runs import assert_same_end, finish, signal_at_step, start
from mmengine.config import Config

from benchmark.training.checkpoints.checkpoint import (
    checkpoint_paths,
    read_checkpoint,
    save_checkpoint,
)
from benchmark.training.distributed.signals import EXIT_STOPPED
from benchmark.training.run import continue_history


def stopped(config: Config, folder: Path, step: int = 5) -> Path:
    """A run of one process that was asked to stop in a step."""
    assert finish(config, folder, before=signal_at_step(step, signal.SIGTERM)) == EXIT_STOPPED
    return folder


def run_pair(
    tmp_path: Path, configs: tuple[Config, Config], folders: tuple[Path, Path]
) -> tuple[list[int], list[str]]:
    """Two processes, each with its own config and folder: exit codes, and what they said."""
    outs = [tmp_path / f"out{rank}" for rank in range(2)]
    pair = [
        start(configs[rank], folders[rank], out=outs[rank], pair=tmp_path / "meet", rank=rank)
        for rank in range(2)
    ]
    for process in pair:
        process.join(120)
    return [process.exitcode for process in pair], [out.read_text() for out in outs]


def elsewhere(name: str, config: Callable[..., Config], run: Path, folder: Path) -> Path:
    """What the second process sees in its folder."""
    if name == "nothing":
        folder.mkdir()
    elif name == "a stale listing":
        shutil.copytree(run, folder)
        checkpoint_paths(folder)[0].unlink()
    elif name == "another run":
        stopped(config("seed=1"), folder, 7)
    elif name == "a finished run":
        assert finish(config("epochs=2"), folder) == 0
    return folder


@pytest.mark.parametrize("seen", ["nothing", "a stale listing", "another run", "a finished run"])
def test_the_main_process_chooses_the_checkpoint(seen, reference, config, tmp_path):
    """Whatever the other one sees; it gets the state from the main process."""
    run = stopped(config(), tmp_path / "run")
    other = elsewhere(seen, config, run, tmp_path / "other")
    before = sorted(path.name for path in other.iterdir())
    codes, said = run_pair(tmp_path, (config(), config()), (run, other))
    assert codes == [0, 0], said
    assert "resuming after epoch 1, step 5, of 3 epochs" in said[0]
    assert said[1] == ""
    assert_same_end(run, reference)
    left = sorted(path.name for path in other.iterdir() if path.name != "mmengine")
    assert left == [name for name in before if name != "mmengine"]


def test_the_main_process_says_that_a_run_is_finished(reference, config, tmp_path):
    """Both end; before, the other would have waited for ever."""
    shutil.copytree(reference, tmp_path / "run")
    folders = (tmp_path / "run", tmp_path / "absent")
    codes, said = run_pair(tmp_path, (config(), config()), folders)
    assert codes == [0, 0]
    assert "finished already" in said[0]


def test_an_error_of_the_main_process_ends_both(config, tmp_path):
    """Its only checkpoint is of another run."""
    run = stopped(config(), tmp_path / "run")
    newest, *others = checkpoint_paths(run)
    for path in others:
        path.unlink()
    own = read_checkpoint(newest)
    save_checkpoint(
        run, own.model_copy(update={"identity": {**own.identity, "corpus_hash": "x"}}), keep=1
    )
    codes, said = run_pair(tmp_path, (config(), config()), (run, run))
    assert codes == [2, 2]
    assert "of another run (its corpus_hash differs)" in said[0]
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("option", "differs"),
    [
        ("method.masking.ratio=0.5", r"method.masking.ratio: 0.75 → 0.5"),
        ("checkpoint_interval=2", "checkpoint_interval: 1 → 2"),
        ("packs=['gone']", "gone: no such folder"),
    ],
)
def test_what_one_process_reads_otherwise_ends_both(option, differs, config, tmp_path):
    """A config, a pack or weights of its own node; with one line that names rank and host."""
    folders = (tmp_path / "run", tmp_path / "run")
    codes, said = run_pair(tmp_path, (config(), config(option)), folders)
    assert codes == [2, 2]
    assert said[0] == said[1]
    line, *rest = said[0].splitlines()
    assert rest == []
    assert differs in line
    assert "rank 1" in line
    assert "process" in line
    assert not folders[0].exists()


def execution(folder: Path) -> list[dict[str, int]]:
    return json.loads((folder / "run.json").read_text())["execution"]


def test_another_number_of_processes_is_said_and_recorded(reference, config, tmp_path):
    """Parts of the same size change the order of sums, others what a forward pass sees."""
    assert execution(reference) == [{"from_step": 0, "processes": 1, "parts": 2}]
    run = stopped(config(), tmp_path / "run", 4)
    codes, said = run_pair(tmp_path, (config(), config()), (run, run))
    assert codes == [0, 0]
    assert "warning: from step 5 on 2 × 1 processes × parts instead of 1 × 2: sums are" in said[0]
    assert execution(run) == [
        {"from_step": 0, "processes": 1, "parts": 2},
        {"from_step": 4, "processes": 2, "parts": 1},
    ]
    run, out = stopped(config(), tmp_path / "parts", 4), tmp_path / "out"
    assert finish(config("micro_batch=4"), run, out=out) == 0
    assert "1 × 1 processes × parts instead of 1 × 2: a forward pass has 4 samples" in (
        out.read_text()
    )
    assert execution(run)[1] == {"from_step": 4, "processes": 1, "parts": 1}
    run, out = stopped(config(), tmp_path / "same", 4), tmp_path / "quiet"
    assert finish(config(), run, out=out) == 0
    assert "warning" not in out.read_text()


@pytest.mark.parametrize(
    ("before", "step", "after"),
    [
        (None, 0, [(0, 1, 2)]),
        ("damaged", 7, [(7, 1, 2)]),
        ([(0, 1, 2)], 7, [(0, 1, 2)]),
        ([(0, 4, 2)], 7, [(0, 4, 2), (7, 1, 2)]),
        ([(0, 1, 2), (5, 4, 2)], 5, [(0, 1, 2)]),  # a checkpoint was lost: 4 processes did nothing
        ([(0, 1, 2), (5, 4, 2)], 6, [(0, 1, 2), (5, 4, 2), (6, 1, 2)]),
        ([(0, 4, 2)], 0, [(0, 1, 2)]),
    ],
)
def test_the_history_of_an_execution(before, step, after):
    def entries(rows: list[tuple[int, ...]]) -> list[dict[str, int]]:
        return [dict(zip(("from_step", "processes", "parts"), row, strict=True)) for row in rows]

    given = entries(before) if isinstance(before, list) else before
    assert continue_history(given, step, 2) == entries(after)
