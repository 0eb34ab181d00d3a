"""One job: what it leaves when it succeeds, fails, is interrupted or runs twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmark.files import read_json, write_json
from benchmark.files.locking import acquire
from benchmark.sweep.config_cache import ROOT
from benchmark.sweep.jobs import failure_path, log_path
from benchmark.sweep.plan import sweep_folder
from benchmark.sweep.worker import LOCK, _execute, job_description, run_job

if TYPE_CHECKING:
    from conftest import Sweep

NAME = "unet-synthetic_v-0"
ID = f"finetune-demo-{NAME.rpartition('-')[0]}-seed0"


@pytest.fixture
def one(sweep: Sweep) -> Sweep:
    """A sweep of a single cell."""
    return sweep.only(methods=("unet",), datasets=("synthetic_v",), seeds=(0,))


@pytest.fixture
def describe(one: Sweep) -> Callable[..., Path]:
    """Writes the description of the cell, or of another command in its place."""

    def write(command: list[str] | None = None, **changes: Any) -> Path:
        (job,) = one.plan().jobs
        job.command = command or job.command
        folder = sweep_folder(one.matrix)
        content = job_description(job, folder, changes.pop("gpus", None), changes)
        path = folder / "jobs" / f"{job.id}.json"
        write_json(path, content)
        return path

    return write


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def failure(sweep: Sweep) -> dict[str, Any]:
    return read_json(failure_path(ID, sweep_folder(sweep.matrix)))


def test_a_job_that_succeeds_leaves_its_result_and_its_log(one, describe):
    description = describe()
    assert run_job(description) == 0
    assert one.states() == {NAME: "done"}
    log = log_path(ID, sweep_folder(one.matrix)).read_text(encoding="utf-8")
    assert "tools/finetune.py --scale tiny" in log.splitlines()[1]
    # Whoever comes later finds it done.
    assert run_job(description) == 0
    assert one.calls() == [NAME]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import sys; print('error: no disk'); print('bye'); sys.exit(2)", "error: no disk"),
        ("raise ValueError('wrong')", "ValueError: wrong"),
        ("import os; os._exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "exit code -9 (killed by signal 9)"),
        ("pass", "ended without a valid result: missing"),
    ],
)
def test_a_job_that_fails_leaves_its_last_error(one, describe, code, error):
    """The last line that says so, or the last of all; never one of an earlier attempt."""
    run_job(describe(python("import sys; sys.exit('error: earlier')")))
    assert failure(one)["error"] == "error: earlier"
    assert run_job(describe(python(code))) == 1
    assert failure(one)["error"] == error
    assert one.states() == {NAME: "failed"}
    # Success clears it.
    assert run_job(describe()) == 0
    assert not failure_path(ID, sweep_folder(one.matrix)).exists()


def test_a_command_that_was_stopped_and_saved_is_no_failure(one, describe):
    assert run_job(describe(python("import sys; sys.exit(75)"))) == 75
    assert one.states() == {NAME: "missing"}
    assert not failure_path(ID, sweep_folder(one.matrix)).exists()


def _job(description: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "tools" / "matrix.py"), "job", str(description)]
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        # Tests in the background of a shell ignore Ctrl-C, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_signal_while_the_command_starts_reaches_it(monkeypatch):
    def start(*args, **options):
        """A process, and a signal before anybody knows of it."""
        signal.raise_signal(signal.SIGTERM)
        return popen(*args, **options)

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    with tempfile.TemporaryFile() as log:
        ended = _execute(["sleep", "60"], dict(os.environ), [], log)
    assert ended == (-signal.SIGTERM, signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_that_is_interrupted_counts_as_missing(one, describe, number):
    one.change(slow={NAME: 600})
    process = _job(describe())
    _wait(lambda: one.calls() == [NAME])
    assert one.states() == {NAME: "running"}
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    assert one.states() == {NAME: "missing"}


def test_a_killed_job_holds_its_lock_while_its_command_lives(one, describe):
    """The command continues alone; a second job waits for it and finds its result."""
    one.change(slow={NAME: 3})
    description = describe()
    process = _job(description)
    _wait(lambda: one.calls() == [NAME])
    process.kill()
    process.wait()
    assert one.states() == {NAME: "running"}
    assert run_job(description) == 0
    assert one.calls() == [NAME]


def test_a_job_sees_its_own_gpus_only(one, describe, monkeypatch):
    show = python("import os; print('sees', os.environ.get('CUDA_VISIBLE_DEVICES'))")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    log = log_path(ID, sweep_folder(one.matrix))
    for wanted, lent, seen in ((1, ["4", "5"], "4"), (2, ["4", "5"], "4,5"), (0, ["4"], "")):
        description = describe(show, gpus=lent)
        content = read_json(description)
        content["job"]["gpus"] = wanted
        write_json(description, content)
        with acquire(sweep_folder(one.matrix) / LOCK):
            run_job(description)
        assert log.read_text(encoding="utf-8").splitlines()[-1] == f"sees {seen}"
    # A cluster assigns them itself.
    run_job(describe(show, gpus=None))
    assert log.read_text(encoding="utf-8").splitlines()[-1] == "sees 0,1,2"
