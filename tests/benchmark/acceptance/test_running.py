"""The command of the acceptance run, without a GPU."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from benchmark.acceptance.plan import PARTS
from benchmark.acceptance.running import _run, main
from benchmark.errors import InputError

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT / "tools" / "gpu_acceptance.sh"


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["gpu_acceptance", *map(str, arguments)])
        try:
            return main(), capsys.readouterr()
        except InputError as error:
            return str(error), capsys.readouterr()

    return run


def test_every_part_names_a_function_and_fits_into_ten_minutes():
    for part in PARTS:
        module, _, name = part.function.partition(":")
        assert callable(getattr(importlib.import_module(f"benchmark.acceptance.{module}"), name))
    assert sum(part.limit for part in PARTS if part.needs != "two GPUs") <= 600


def test_the_plan_is_printed_without_anything_heavy(tmp_path):
    code = "import sys; sys.modules['torch'] = None; sys.argv[1:] = ['--dry-run'];"
    code += "from benchmark.acceptance.running import main; main()"
    done = subprocess.run(
        [os.environ.get("PYTHON", ROOT / ".venv/bin/python"), "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert len(done.stdout.splitlines()) == len(PARTS)


def test_without_a_gpu_it_says_what_it_would_do(command, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, printed = command("--out", tmp_path / "out")
    assert code == "torch finds no GPU; --device cpu tries the script with small sizes"
    assert [line.split("  ")[0] for line in printed.out.splitlines()] == [p.title for p in PARTS]
    assert not (tmp_path / "out").exists()


def test_an_unknown_part_is_named(command):
    found, _ = command("--only", "anatmy")
    assert found == "unknown --only 'anatmy'; did you mean 'anatomy'?"


def test_a_part_that_takes_too_long_is_ended(tmp_path):
    part = replace(PARTS[0], limit=0.02)
    outcome = _run(part, tmp_path, "cpu", 0, str(tmp_path))
    assert (outcome.state, outcome.good) == ("timed out", False)


def test_a_part_that_measures_nothing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", shutil.which("true"))
    outcome = _run(PARTS[0], tmp_path, "cpu", 0, str(tmp_path))
    assert outcome.state == "failed"
    assert outcome.reason.startswith("nothing was measured, see ")


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGINT, signal.SIGHUP)),
    ],
)
def test_a_signal_leaves_neither_processes_nor_temporary_files(tmp_path, number):
    """Of a part that starts a process in a session of its own, as torchrun starts ranks."""
    (tmp_path / "scratch").mkdir()
    part = tmp_path / "part.sh"
    part.write_text("#!/bin/sh\nmktemp -d >/dev/null\nsetsid sleep 60 &\necho $!\nwait\n")
    part.chmod(0o755)
    # A shell in the background, or nohup, has the tests ignore what they send here.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    code += "signal.signal(signal.SIGHUP, signal.SIG_DFL);"
    code += f"import sys; sys.executable = {str(part)!r};"
    code += "from benchmark.acceptance.running import main; main()"
    options = ["--device", "cpu", "--only", "environment", "--out", tmp_path / "out"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *options], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )
    log = tmp_path / "out" / "environment.log"
    while process.poll() is None and not (log.is_file() and log.read_text()):
        time.sleep(0.05)
    rank = psutil.Process(int(log.read_text()))
    process.send_signal(number)
    assert process.wait() != 0
    assert not rank.is_running()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_signal_while_a_part_starts_ends_it(tmp_path, monkeypatch):
    started = []

    def start(*args, **options):
        """A process, and a signal before anybody knows of it."""
        started.append(popen(["sleep", "60"], start_new_session=options["start_new_session"]))
        signal.raise_signal(signal.SIGTERM)
        return started[0]

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises(SystemExit) as ended:
        _run(PARTS[0], tmp_path, "cpu", 0, str(tmp_path))
    assert ended.value.code == 128 + signal.SIGTERM
    assert started[0].returncode == -signal.SIGKILL


def test_parts_that_need_gpus_are_skipped(tmp_path):
    by_name = {part.name: part for part in PARTS}
    for name, device, gpus in (("tests", "cpu", 0), ("killed", "cuda", 1)):
        outcome = _run(by_name[name], tmp_path, device, gpus, str(tmp_path))
        assert outcome.state == "skipped"


@pytest.mark.slow
def test_everything_runs_on_a_cpu(tmp_path):
    """Takes a quarter of an hour on two quiet cores."""
    done = subprocess.run(
        [TOOL, "--device", "cpu", "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads((tmp_path / "out" / "gpu_acceptance.json").read_text())
    states = {part["name"]: part["state"] for part in verdict["parts"]}
    assert states == {part.name: "skipped" if part.needs == "a GPU" else "passed" for part in PARTS}
