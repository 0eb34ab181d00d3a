"""One job: what it leaves behind when it succeeds, fails, is interrupted or has company."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmark.files import read_json, write_json
from benchmark.sweep.devices import lend, visible_gpus
from benchmark.sweep.job import LOCK, description_of, run_job
from benchmark.sweep.jobs import failure_path, lock_path, log_path
from benchmark.sweep.locking import claim, is_running, take
from benchmark.sweep.plan import sweep_folder
from benchmark.sweep.resolving import ROOT

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
        content = description_of(job, folder, changes.pop("gpus", None), changes)
        path = folder / "jobs" / f"{job.id}.json"
        write_json(path, content)
        return path

    return write


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def failure(sweep: Sweep) -> dict[str, Any]:
    return read_json(failure_path(ID, sweep_folder(sweep.matrix)))


def test_a_job_that_succeeds_leaves_its_result_and_its_log(
    one: Sweep, describe: Callable[..., Path]
) -> None:
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
def test_a_job_that_fails_leaves_its_last_error(
    one: Sweep, describe: Callable[..., Path], code: str, error: str
) -> None:
    """The last line that says so, or the last of all; never one of an earlier attempt."""
    run_job(describe(python("import sys; sys.exit('error: earlier')")))
    assert failure(one)["error"] == "error: earlier"
    assert run_job(describe(python(code))) == 1
    assert failure(one)["error"] == error
    assert one.states() == {NAME: "failed"}
    # Success clears it.
    assert run_job(describe()) == 0
    assert not failure_path(ID, sweep_folder(one.matrix)).exists()


def test_a_command_that_was_stopped_and_saved_is_no_failure(
    one: Sweep, describe: Callable[..., Path]
) -> None:
    assert run_job(describe(python("import sys; sys.exit(75)"))) == 75
    assert one.states() == {NAME: "missing"}
    assert not failure_path(ID, sweep_folder(one.matrix)).exists()


def _job(description: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "tools" / "matrix.py"), "job", str(description)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_that_is_interrupted_counts_as_missing(
    one: Sweep, describe: Callable[..., Path], number: int
) -> None:
    one.change(slow={NAME: 600})
    process = _job(describe())
    _wait(lambda: one.calls() == [NAME])
    assert one.states() == {NAME: "running"}
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    assert one.states() == {NAME: "missing"}


def test_a_killed_job_holds_its_lock_while_its_command_lives(
    one: Sweep, describe: Callable[..., Path]
) -> None:
    """The command goes on alone; a second job waits for it and finds its result."""
    one.change(slow={NAME: 3})
    description = describe()
    process = _job(description)
    _wait(lambda: one.calls() == [NAME])
    process.kill()
    process.wait()
    assert one.states() == {NAME: "running"}
    assert run_job(description) == 0
    assert one.calls() == [NAME]


def test_a_job_sees_its_own_gpus_only(
    one: Sweep, describe: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    show = python("import os; print('sees', os.environ.get('CUDA_VISIBLE_DEVICES'))")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    log = log_path(ID, sweep_folder(one.matrix))
    for wanted, lent, seen in ((1, ["4", "5"], "4"), (2, ["4", "5"], "4,5"), (0, ["4"], "")):
        description = describe(show, gpus=lent)
        content = read_json(description)
        content["job"]["gpus"] = wanted
        write_json(description, content)
        with claim(sweep_folder(one.matrix) / LOCK):
            run_job(description)
        assert log.read_text(encoding="utf-8").splitlines()[-1] == f"sees {seen}"
    # A cluster assigns them itself.
    run_job(describe(show, gpus=None))
    assert log.read_text(encoding="utf-8").splitlines()[-1] == "sees 0,1,2"


def test_a_gpu_is_lent_to_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as somebody has the descriptor of its lock."""
    monkeypatch.setattr("benchmark.sweep.devices.lock_folder", lambda: tmp_path)
    with lend(["0", "1", "2"], 2) as (first, locks), lend(["0", "1", "2"], 1) as (second, _):
        assert (first, second) == (["0", "1"], ["2"])
        child = subprocess.Popen(["sleep", "60"], pass_fds=locks)
    with lend(["0", "1", "2"], 1) as (third, _):
        assert third == ["2"]
    child.kill()
    child.wait()
    with lend(["0", "1", "2"], 3) as (all_of_them, _):
        assert all_of_them == ["0", "1", "2"]
    with pytest.raises(ValueError, match="3 GPUs wanted, 1 there"), lend(["0"], 3):
        pass


def test_the_gpus_are_those_that_may_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANGIO_DEVICE", raising=False)
    cases = [("2,3", ["2", "3"]), ("", []), ("-1", []), ("GPU-a", ["GPU-a"])]
    for value, names in (*cases, ("0,0", []), ("NoDevFiles", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert visible_gpus() == names
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", "")
    assert visible_gpus() == []


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    path = lock_path("job", tmp_path)
    code = f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\n"
    code += "from pathlib import Path; from benchmark.sweep.locking import claim\n"
    code += f"with claim(Path({str(path)!r})): print('held', flush=True); time.sleep(600)"
    process = subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert is_running(path)
    assert take(path) is None
    process.kill()
    process.wait()
    process.stdout.close()
    assert not is_running(path)
    with claim(path):
        assert is_running(path)
    assert path.read_text() == ""
    assert not is_running(path)


def test_a_held_lock_shows_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.sweep.locking.HEARTBEAT", 0.02)
    path = lock_path("job", tmp_path)
    with claim(path):
        os.utime(path, (1, 1))
        _wait(lambda: path.stat().st_mtime > time.time() - 60)


def test_without_locks_the_signs_of_life_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system mounted without them."""

    def refuse(stream: object, how: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("benchmark.sweep.locking.fcntl.flock", refuse)
    path = lock_path("job", tmp_path)
    with claim(path):
        assert is_running(path)
        os.utime(path, (1, 1))
        assert not is_running(path)
