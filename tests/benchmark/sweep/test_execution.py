"""Whole sweeps under Snakemake: failures, retries, kills and resumes."""

from __future__ import annotations

import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmark.errors import InputError
from benchmark.sweep import execution
from benchmark.sweep.execution import PROFILES, Site, run_plan
from benchmark.sweep.locking import take
from benchmark.sweep.resolving import ROOT

if TYPE_CHECKING:
    from conftest import Sweep

    from benchmark.sweep.plan import Plan

needs_snakemake = pytest.mark.skipif(
    importlib.util.find_spec("snakemake") is None, reason="snakemake needs Python 3.11 or newer"
)
TWELVE = {"methods": ("frangi", "unet", "mae", "vasomim"), "datasets": ("synthetic_v",)}
BROKEN = ["unet-synthetic_v-1", "mae-synthetic_v-2"]


def results(sweep: Sweep) -> dict[str, tuple[str, int]]:
    """Content and time of the records."""
    return {name: entry for name, entry in sweep.digest("results").items() if ".json" in name}


@needs_snakemake
def test_two_failures_stay_in_their_cells_and_are_completed_on_request(sweep: Sweep) -> None:
    sweep = sweep.only(**TWELVE)
    sweep.change(broken=BROKEN)
    assert sweep.run() != 0
    states = sweep.states()
    assert {name for name, state in states.items() if state == "failed"} == set(BROKEN)
    assert Counter(states.values()) == {"done": 13, "failed": 2}
    reasons = {job.title: job.reason for job in sweep.plan().jobs if job.state == "failed"}
    log = sweep.work / "sweep" / "logs" / "finetune-demo-unet-synthetic_v-seed1.log"
    assert reasons["unet · synthetic_v · seed 1"] == f"error: unet-synthetic_v-1: planted ({log})"
    assert "loading …" in log.read_text(encoding="utf-8")
    ten = results(sweep)
    assert len(ten) == 10

    sweep.change(broken=[])
    assert sweep.plan().todo == frozenset()
    assert sweep.run(retry_failed=True) == 0
    assert set(sweep.states().values()) == {"done"}
    after = results(sweep)
    assert len(after) == 12
    assert {name: after[name] for name in ten} == ten
    calls = Counter(sweep.calls())
    assert {name for name, number in calls.items() if number == 2} == set(BROKEN)
    assert sum(calls.values()) == 15 + 2
    assert list((sweep.work / "sweep").glob("plan-*")) == []


@pytest.mark.slow
@needs_snakemake
def test_stale_cells_are_replaced_and_no_other(sweep: Sweep) -> None:
    sweep = sweep.only(methods=("frangi", "mae"), datasets=("synthetic_v",), seeds=(0, 1))
    sweep.fill()
    before, first = results(sweep), len(sweep.calls())
    sweep.change(mae=5)
    assert sweep.run(rerun_stale=True) == 0
    assert sweep.calls()[first:][0] == "mae"
    assert sorted(sweep.calls()[first:]) == ["mae", "mae-synthetic_v-0", "mae-synthetic_v-1"]
    after = results(sweep)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {f"results/demo/mae/synthetic_v/seed{seed}.json" for seed in (0, 1)}
    assert set(sweep.states().values()) == {"done"}


@pytest.mark.slow
@needs_snakemake
def test_the_old_record_stands_where_its_replacement_fails(sweep: Sweep) -> None:
    sweep = sweep.only(methods=("unet",), datasets=("synthetic_v",), seeds=(0,))
    sweep.fill()
    before = results(sweep)
    sweep.change(synthetic_v=5, broken=["unet-synthetic_v-0"])
    assert sweep.run(rerun_stale=True) != 0
    assert {name: entry[0] for name, entry in results(sweep).items()} == {
        name: entry[0] for name, entry in before.items()
    }
    assert sweep.states() == {"unet-synthetic_v-0": "failed"}
    sweep.change(broken=[])
    assert sweep.run(retry_failed=True) == 0
    assert sweep.states() == {"unet-synthetic_v-0": "done"}


Start = Callable[["Plan", int], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process, leader of a group, that runs a plan with so many jobs at once."""
    groups = []

    def begin(plan: Plan, jobs: int) -> subprocess.Popen[bytes]:
        file = tmp_path / "plan.pickle"
        file.write_bytes(pickle.dumps((plan, Site(PROFILES / "local", jobs, []))))
        code = "import pickle, sys; from benchmark.sweep.execution import run_plan\n"
        code += f"sys.exit(run_plan(*pickle.load(open({str(file)!r}, 'rb'))))"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
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
def test_a_sweep_that_is_killed_goes_on(sweep: Sweep, start: Start) -> None:
    """SIGKILL for all of its processes, in the middle of two cells."""
    sweep = sweep.only(methods=("frangi", "unet"), datasets=("synthetic_v",))
    hanging = ["frangi-synthetic_v-2", "unet-synthetic_v-2"]
    sweep.change(slow=dict.fromkeys(hanging, 600))
    process = start(sweep.plan(), 3)
    wait_for(lambda: Counter(sweep.states().values()) == {"done": 4, "running": 2})
    wait_for(lambda: set(hanging) <= set(sweep.calls()))
    with pytest.raises(InputError, match="another sweep is running"):
        sweep.run()
    before = results(sweep)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: Counter(sweep.states().values()) == {"done": 4, "missing": 2})
    sweep.change(slow={})
    assert sweep.run() == 0
    after = results(sweep)
    assert {name: after[name] for name in before} == before
    assert len(after) == 6
    assert Counter(sweep.calls()) == Counter([*set(sweep.calls()), *hanging])


@pytest.mark.slow
@needs_snakemake
def test_a_cell_that_outlives_its_sweep_is_waited_for(sweep: Sweep, start: Start) -> None:
    """Only Snakemake and its parent are killed; the cell goes on, and is not computed twice."""
    psutil = pytest.importorskip("psutil")
    sweep = sweep.only(methods=("unet",), datasets=("synthetic_v",), seeds=(0,))
    sweep.change(slow={"unet-synthetic_v-0": 10})
    process = start(sweep.plan(), 1)
    wait_for(lambda: sweep.calls() == ["unet-synthetic_v-0"])
    (snakemake,) = psutil.Process(process.pid).children()
    process.kill()
    snakemake.kill()
    process.wait()
    snakemake.wait()
    assert sweep.states() == {"unet-synthetic_v-0": "running"}
    assert sweep.run() == 0
    assert sweep.states() == {"unet-synthetic_v-0": "done"}
    assert sweep.calls() == ["unet-synthetic_v-0"]


@pytest.mark.slow
@needs_snakemake
def test_a_sweep_that_is_told_to_stop_leaves_nothing_failed(sweep: Sweep, start: Start) -> None:
    sweep = sweep.only(methods=("unet",), datasets=("synthetic_v",), seeds=(0,))
    sweep.change(slow={"unet-synthetic_v-0": 600})
    process = start(sweep.plan(), 1)
    wait_for(lambda: sweep.calls() == ["unet-synthetic_v-0"])
    process.terminate()
    assert process.wait(timeout=120) != 0
    assert sweep.states() == {"unet-synthetic_v-0": "missing"}


def test_without_snakemake_one_line_says_so(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs Python 3\.11 or newer"):
        sweep.run()
    assert not (sweep.work / "sweep").exists()


def test_more_gpus_than_there_are_is_bad_input(sweep: Sweep) -> None:
    plan = sweep.plan()
    plan.jobs[0].gpus = 2
    with pytest.raises(InputError, match="2 GPUs wanted"):
        run_plan(plan, Site(PROFILES / "local", 1, ["0"]))
    stream = take(sweep.work / "sweep" / "sweep.lock")
    assert stream is not None
    stream.close()
