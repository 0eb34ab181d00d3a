"""Whole sweeps under Snakemake: failures, retries, and what stands in their way."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
from collections import Counter

import pytest

from benchmark.errors import InputError
from benchmark.files import read_json, write_json
from benchmark.files.locking import acquire, is_locked
from benchmark.files.temporary import temporary_beside
from benchmark.sweep import execution
from benchmark.sweep.cleanup import clean_up_if_idle
from benchmark.sweep.execution import PROFILES, run_plan

needs_snakemake = pytest.mark.skipif(
    importlib.util.find_spec("snakemake") is None, reason="snakemake needs Python 3.11 or newer"
)
TWELVE = {"methods": ("frangi", "unet", "mae", "vasomim"), "datasets": ("synthetic_v",)}
BROKEN = ["unet-synthetic_v-1", "mae-synthetic_v-2"]


@needs_snakemake
def test_two_failures_stay_in_their_cells_and_are_completed_on_request(sweep):
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
    ten = sweep.records()
    assert len(ten) == 10

    sweep.change(broken=[])
    assert sweep.plan().todo == frozenset()
    assert sweep.run(retry_failed=True) == 0
    assert set(sweep.states().values()) == {"done"}
    after = sweep.records()
    assert len(after) == 12
    assert {name: after[name] for name in ten} == ten
    calls = Counter(sweep.calls())
    assert {name for name, number in calls.items() if number == 2} == set(BROKEN)
    assert sum(calls.values()) == 15 + 2
    sweep.assert_tidy()


@pytest.mark.slow
@needs_snakemake
def test_stale_cells_are_replaced_and_no_other(sweep):
    sweep = sweep.only(methods=("frangi", "mae"), datasets=("synthetic_v",), seeds=(0, 1))
    sweep.fill()
    before, first = sweep.records(), len(sweep.calls())
    sweep.change(mae=5)
    assert sweep.run(rerun_stale=True) == 0
    assert sweep.calls()[first:][0] == "mae"
    assert sorted(sweep.calls()[first:]) == ["mae", "mae-synthetic_v-0", "mae-synthetic_v-1"]
    after = sweep.records()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {f"results/demo/mae/synthetic_v/seed{seed}.json" for seed in (0, 1)}
    assert set(sweep.states().values()) == {"done"}


@pytest.mark.slow
@needs_snakemake
def test_the_old_record_stands_where_its_replacement_fails(sweep):
    sweep = sweep.only(methods=("unet",), datasets=("synthetic_v",), seeds=(0,))
    sweep.fill()
    before = sweep.records()
    sweep.change(synthetic_v=5, broken=["unet-synthetic_v-0"])
    assert sweep.run(rerun_stale=True) != 0
    assert {name: entry[0] for name, entry in sweep.records().items()} == {
        name: entry[0] for name, entry in before.items()
    }
    assert sweep.states() == {"unet-synthetic_v-0": "failed"}
    sweep.change(broken=[])
    assert sweep.run(retry_failed=True) == 0
    assert sweep.states() == {"unet-synthetic_v-0": "done"}


def test_without_snakemake_one_line_says_so(sweep, monkeypatch):
    monkeypatch.setattr(execution.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs Python 3\.11 or newer"):
        sweep.run()
    assert not (sweep.work / "sweep").exists()


def test_more_gpus_than_there_are_is_bad_input(sweep):
    plan = sweep.plan()
    plan.jobs[0].gpus = 2
    with pytest.raises(InputError, match="2 GPUs wanted"):
        run_plan(plan, PROFILES / "local", 1, ["0"])
    assert not is_locked(sweep.work / "sweep" / "sweep.lock")


def test_two_sweeps_in_one_folder(sweep, monkeypatch):
    """The second one is told by whom the first is run."""
    monkeypatch.setattr(execution, "_PATIENCE", 0.1)
    with acquire(sweep.work / "sweep" / "sweep.lock"), pytest.raises(InputError) as error:
        sweep.run()
    holder = rf"process {os.getpid()} on {re.escape(socket.gethostname())} since 20\d\d-.* UTC"
    assert re.search(f"another sweep is running here, {holder}; wait for it", str(error.value))


def test_what_stands_in_the_way_is_said_before_anything_starts(sweep, tmp_path):
    with pytest.raises(InputError, match=r"absent: no such folder of a Snakemake profile"):
        run_plan(sweep.plan(), tmp_path / "absent", 1, [])
    squat = tmp_path / "state" / "angio-ssl-bench"
    squat.parent.mkdir()
    squat.symlink_to(tmp_path)
    with pytest.raises(InputError, match="not a folder of yours"):
        run_plan(sweep.plan(), PROFILES / "local", 1, ["0"])
    assert not (sweep.work / "sweep").exists()
    (tmp_path / "elsewhere").mkdir()
    (sweep.work / "sweep").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"sweep: must not be a link; link .* instead"):
        run_plan(sweep.plan(), PROFILES / "local", 1, [])
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_killed_sweeps_have_left_is_removed(sweep):
    """Also where there is nothing to run; nothing of a job that still runs, and nothing else."""
    sweep.fill()
    folder = sweep.work / "sweep"
    records = sweep.records()
    record = next((sweep.work / "results").rglob("seed0.json"))
    left = [
        folder / "plan.json",
        folder / ".snakemake" / "incomplete" / "Li4vbWFl",
        folder / ".snakemake" / "log" / "2026-11-28.snakemake.log",
        folder / "jobs" / "train-mae-pretrain.json",
        folder / "jobs" / "train-mae-pretrain.lock",
        *(temporary_beside(path) for path in (folder / "resolved.json", record)),
        temporary_beside(folder / "jobs" / "train-mae-pretrain.failed.json"),
    ]
    kept = [
        folder / "plan-b.json",
        folder / "snakemake.log",
        folder / ".snakemake" / "slurm_logs" / "1.log",
        folder / "jobs" / "train-vasomim-pretrain.json",
        folder / "jobs" / "train-mae-pretrain.failed.json",
        folder / "logs" / "train-mae-pretrain.log",
    ]
    for path in (*left, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    dead = subprocess.Popen(["true"])
    dead.wait()
    for number, path in enumerate(left):
        if path.suffix == ".tmp":
            left[number] = path.rename(str(path).replace(f"-{os.getpid()}-", f"-{dead.pid}-"))
    with acquire(folder / "jobs" / "train-vasomim-pretrain.lock"):
        with acquire(folder / "sweep.lock"):
            clean_up_if_idle(sweep.plan())  # another sweep is running: it is its own business
        assert all(path.exists() for path in left)
        clean_up_if_idle(sweep.plan())
        assert [path for path in left if path.exists()] == []
        assert [path for path in kept if not path.exists()] == []
    assert sweep.records() == records


def test_checkpoints_of_a_cell_that_is_done_are_removed(sweep):
    """As many as its config says; those of a cell that is not done, or of others, stay."""
    sweep.fill()
    paths = {}
    for method, keep in (("mae", 0), ("unet", 1), ("frangi", 0)):
        record = sweep.work / "results" / "demo" / method / "synthetic_v" / "seed0.json"
        content = read_json(record)
        write_json(record, {**content, "config": {**content["config"], "keep_checkpoints": keep}})
        folder = sweep.work / method / "finetune" / "synthetic_v" / "seed0"
        folder.mkdir(parents=True)
        paths[method] = [folder / "epoch_9.pth", folder / "epoch_10.pth"]
        for path in paths[method]:
            path.touch()
        if method != "frangi":
            write_json(folder / "run.json", {})
    missing = sweep.work / "mae" / "finetune" / "synthetic_v" / "seed1" / "epoch_1.pth"
    missing.parent.mkdir()
    missing.touch()
    write_json(missing.with_name("run.json"), {})
    (sweep.work / "results" / "demo" / "mae" / "synthetic_v" / "seed1.json").unlink()
    (sweep.work / "sweep").mkdir()
    clean_up_if_idle(sweep.plan())
    left = {method: [path.name for path in paths[method] if path.exists()] for method in paths}
    assert left == {"mae": [], "unet": ["epoch_10.pth"], "frangi": ["epoch_9.pth", "epoch_10.pth"]}
    assert missing.exists()
