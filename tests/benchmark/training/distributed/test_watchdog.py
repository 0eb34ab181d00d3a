"""A process that keeps the others waiting is named, and the run ends by itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.training.distributed import setup, watchdog
from benchmark.training.distributed.signals import EXIT_SILENT, RunEnded

MINUTES = 0.05
STEPS = 400
_FORK = multiprocessing.get_context("fork")
Step = Callable[[int], None]


def nothing(step: int) -> None:
    """What most processes do besides the exchange of a step."""


def sleep_at(step: int) -> Step:
    """A process whose threads live on, but which is stuck in one place."""
    return lambda now: time.sleep(60) if now == step else None


def _take_steps(step_of: Step, folder: Path, rank: int) -> None:
    os.setpgid(0, 0)
    sys.stdout = sys.stderr = (folder / f"out{rank}").open("a", encoding="utf-8", buffering=1)
    torch.set_num_threads(1)
    try:
        with setup.process_group(MINUTES):
            for step in range(STEPS):
                watchdog.note(2 * step + 1, f"loading the batch of step {step + 1}")
                step_of(step)
                watchdog.note(2 * step + 2, f"in step {step + 1}")
                torch.distributed.all_reduce(torch.ones(1))
                (folder / f"step{rank}").write_text(str(step))
                time.sleep(0.02)
    except RunEnded as end:
        os._exit(end.exit_code)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., list[Any]]:
    """Start processes that exchange a number at every step, as Slurm's script would start them."""

    def start(*steps: Step, world_size: int | None = None) -> list[Any]:
        variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        variables |= {"WORLD_SIZE": str(world_size or len(steps)), "LOCAL_RANK": "0"}
        monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
        processes = []
        for rank, step_of in enumerate(steps):
            for name, value in {**variables, "RANK": str(rank)}.items():
                monkeypatch.setenv(name, value)
            process = _FORK.Process(target=_take_steps, args=(step_of, tmp_path, rank))
            process.start()
            processes.append(process)
            request.addfinalizer(lambda process=process: (process.kill(), process.join()))
        return processes

    return start


def reached(folder: Path, step: int) -> None:
    until = time.monotonic() + 60
    while not (folder / "step0").exists() or int((folder / "step0").read_text() or 0) < step:
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_stopped_process_is_named(stopped, launch, tmp_path):
    """Also the one whose process holds the store in which all of them meet."""
    processes = launch(nothing, nothing)
    reached(tmp_path, 5)
    os.kill(processes[stopped].pid, signal.SIGSTOP)
    processes[1 - stopped].join(60 * MINUTES + 15)
    assert processes[1 - stopped].exitcode == EXIT_SILENT
    out = (tmp_path / f"out{1 - stopped}").read_text()
    process = f"rank {stopped} (process {processes[stopped].pid} on {socket.gethostname()})"
    assert out.startswith(f"error: {process} has ")
    assert out.count("\n") == 1
    assert "--resume" in out
    assert ("no sign of life for 0.05 min, last: " in out) == (stopped == 1)
    assert ("has not answered for 0.05 min" in out) == (stopped == 0)


def test_a_process_that_is_stuck_is_named_with_its_place(launch, tmp_path):
    """Its threads live, so it gives signs of life; one of the two that wait for it speaks."""
    processes = launch(nothing, nothing, sleep_at(3))
    for process in processes[:2]:
        process.join(60 * MINUTES + 20)
        assert process.exitcode == EXIT_SILENT
    said = (tmp_path / "out0").read_text() + (tmp_path / "out1").read_text()
    assert said.count("error: ") == 1
    assert f"rank 2 (process {processes[2].pid} on " in said
    assert "kept the others waiting for 0.05 min: loading the batch of step 4; " in said


@pytest.mark.slow
def test_a_short_stop_is_no_end(launch, tmp_path):
    """Neither for those who wait, nor for the one that was stopped."""
    processes = launch(nothing, nothing)
    reached(tmp_path, 5)
    os.kill(processes[1].pid, signal.SIGSTOP)
    time.sleep(0.7 * 60 * MINUTES)
    os.kill(processes[1].pid, signal.SIGCONT)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert (tmp_path / "out0").read_text() + (tmp_path / "out1").read_text() == ""


@pytest.mark.slow
def test_processes_that_do_not_come_are_waited_for_so_long(launch, tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "_LATER", timedelta(0))
    (process,) = launch(nothing, world_size=2)
    process.join(60)
    assert process.exitcode == EXIT_SILENT
    line = f"error: rank 0 (process {process.pid} on {socket.gethostname()}) has waited 0.05 min"
    assert line in (tmp_path / "out0").read_text()
