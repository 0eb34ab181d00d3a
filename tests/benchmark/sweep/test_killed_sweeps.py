"""Sweeps whose processes are killed, and the same command after it."""

from __future__ import annotations

import importlib.util
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmark.errors import InputError
from benchmark.files import read_json, write_json
from benchmark.files.locking import acquire
from benchmark.sweep.config_cache import ROOT
from benchmark.sweep.execution import PROFILES
from benchmark.sweep.worker import job_description, run_job

if TYPE_CHECKING:
    from benchmark.sweep.plan import Plan

needs_snakemake = pytest.mark.skipif(
    importlib.util.find_spec("snakemake") is None, reason="snakemake needs Python 3.11 or newer"
)
KILLS = 6
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process, leader of a group, that runs a plan with so many jobs at once."""
    groups = []

    def begin(plan: Plan, jobs: int, sigint: Any = signal.SIG_DFL) -> subprocess.Popen[bytes]:
        file = tmp_path / "plan.pickle"
        file.write_bytes(pickle.dumps((plan, PROFILES / "local", jobs, [])))
        code = "import pickle, sys; from benchmark.sweep.execution import run_plan\n"
        code += f"sys.exit(run_plan(*pickle.load(open({str(file)!r}, 'rb'))))"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, sigint),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        groups.append(process)
        return process

    yield begin
    for process in groups:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
@needs_snakemake
def test_a_killed_sweep_is_resumed(sweep, start):
    """SIGKILL for all of its processes, in the middle of two cells."""
    sweep = sweep.only(methods=("frangi", "unet"), datasets=("synthetic_v",))
    hanging = ["frangi-synthetic_v-2", "unet-synthetic_v-2"]
    sweep.change(slow=dict.fromkeys(hanging, 600))
    process = start(sweep.plan(), 3)
    wait_for(lambda: Counter(sweep.states().values()) == {"done": 4, "running": 2})
    wait_for(lambda: set(hanging) <= set(sweep.calls()))
    with pytest.raises(InputError, match="another sweep is running"):
        sweep.run()
    before = sweep.records()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: Counter(sweep.states().values()) == {"done": 4, "missing": 2})
    sweep.change(slow={})
    assert sweep.run() == 0
    after = sweep.records()
    assert {name: after[name] for name in before} == before
    assert len(after) == 6
    assert Counter(sweep.calls()) == Counter([*set(sweep.calls()), *hanging])


@pytest.mark.slow
@needs_snakemake
@pytest.mark.parametrize("both", [False, True])
def test_a_cell_that_outlives_its_sweep_is_waited_for(sweep, start, both):
    """Snakemake ends with its killed parent; the cell finishes, and runs only once."""
    psutil = pytest.importorskip("psutil")
    sweep = sweep.only(methods=("unet",), datasets=("synthetic_v",))
    names = [f"unet-synthetic_v-{seed}" for seed in (0, 1, 2)]
    sweep.change(slow=dict.fromkeys(names, 20))
    process = start(sweep.plan(), 1)
    wait_for(lambda: len(sweep.calls()) == 1)
    (snakemake,) = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    if both:
        snakemake.kill()
    snakemake.wait(timeout=30)
    assert Counter(sweep.states().values()) == {"running": 1, "missing": 2}
    assert len(sweep.calls()) == 1  # nothing starts without a sweep
    sweep.change(slow={})
    assert sweep.run() == 0
    assert sorted(sweep.calls()) == names
    assert set(sweep.states().values()) == {"done"}
    sweep.assert_tidy()


@pytest.mark.slow
@needs_snakemake
@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random_moments(sweep, start, tmp_path, seed):
    """The parent, or Snakemake as well, or all of them; the results are those without a kill."""
    psutil = pytest.importorskip("psutil")
    moments = random.Random(seed)
    sweep.change(**{"analysis-vit_l": 4})
    sweep = sweep.only(
        methods=("frangi", "mae", "analysis-vit_l"),
        datasets=("synthetic_v", "synthetic_v-25pct", "synthetic_v-patches"),
        only={"synthetic_v-25pct": ("frangi", "mae")},
        seeds=(0, 1),
    )
    reference = sweep.only(work=str(shutil.copytree(sweep.work, tmp_path / "reference")))
    reference.fill()
    sweep.change(slow=dict.fromkeys(sweep.states(), 0.5))

    def next_call(process: subprocess.Popen[bytes], before: int) -> None:
        wait_for(lambda: len(sweep.calls()) > before or process.poll() is not None)

    for _ in range(KILLS):
        process = start(sweep.plan(), 2)
        if moments.random() < 0.7:
            next_call(process, len(sweep.calls()))
        time.sleep(moments.uniform(0, 2))
        victims = moments.choice(["parent", "parent and Snakemake", "all"])
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            children = psutil.Process(process.pid).children()
            if victims == "all":
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            for child in children if victims == "parent and Snakemake" else ():
                child.kill()
        process.wait()
    assert sweep.run() == 0
    # A stand-in that runs twice at a time fails.
    assert set(sweep.states().values()) == {"done"}
    for folder in ("results", "mae", "analysis"):
        expected = {name: entry[0] for name, entry in reference.digest(folder).items()}
        assert {name: entry[0] for name, entry in sweep.digest(folder).items()} == expected
    sweep.assert_tidy()


@pytest.mark.parametrize("adopted", [False, True])
def test_snakemake_ends_with_its_parent(tmp_path, adopted):
    """Also if the parent was gone before the first look."""
    (tmp_path / "snakemake").mkdir()
    (tmp_path / "snakemake" / "__init__.py").touch()
    (tmp_path / "snakemake" / "cli.py").write_text(
        "import sys, time\ndef main():\n    print(*sys.argv[1:], flush=True)\n    time.sleep(600)\n"
    )
    number = "1" if adopted else "os.getpid()"
    code = "import os, subprocess, sys\n"
    code += "command = [sys.executable, '-m', 'benchmark.sweep.snakemake_child']\n"
    code += f"command += [str({number}), '--x']\n"
    code += "subprocess.Popen(command).wait()"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        if adopted:
            assert parent.wait(timeout=60) == 0
            return
        assert parent.stdout.readline() == "--x\n"
        parent.kill()
        assert parent.stdout.read() == ""  # until its end: the child has ended


def test_an_orphan_begins_nothing(sweep):
    """Nor does it keep waiting; a job of a cluster runs, as it has its place in the queue."""
    (job,) = sweep.only(methods=("unet",), datasets=("synthetic_v",), seeds=(0,)).plan().jobs
    folder = sweep.work / "sweep"
    description = folder / "jobs" / f"{job.id}.json"
    write_json(description, job_description(job, folder, [], {}))
    with pytest.raises(InputError, match="the sweep of this job has ended"):
        run_job(description)
    with acquire(folder / "jobs" / f"{job.id}.lock"), pytest.raises(InputError, match="has ended"):
        run_job(description)
    assert sweep.calls() == []
    write_json(description, {**read_json(description), "gpus": None})
    assert run_job(description) == 0
    assert sweep.calls() == ["unet-synthetic_v-0"]


@pytest.mark.slow
@needs_snakemake
@pytest.mark.parametrize("sigint", [signal.SIG_DFL, signal.SIG_IGN])
def test_a_sweep_that_is_told_to_stop_leaves_nothing_failed(sweep, start, sigint):
    """Also where a script started it in the background, which makes it ignore Ctrl-C."""
    sweep = sweep.only(methods=("unet",), datasets=("synthetic_v",), seeds=(0,))
    sweep.change(slow={"unet-synthetic_v-0": 600})
    process = start(sweep.plan(), 1, sigint)
    wait_for(lambda: sweep.calls() == ["unet-synthetic_v-0"])
    process.terminate()
    assert process.wait(timeout=120) != 0
    assert sweep.states() == {"unet-synthetic_v-0": "missing"}
