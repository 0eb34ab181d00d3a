"""What is done, stale, failed or missing, and what follows from it."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from benchmark.errors import InputError
from benchmark.files import read_json, write_json
from benchmark.files.locking import SILENCE, acquire
from benchmark.sweep.inputs import corpus_of
from benchmark.sweep.jobs import Job, failure_path, lock_path
from benchmark.sweep.plan import SweepSettings, make_plan, sweep_folder
from benchmark.sweep.report import print_plan, print_status
from benchmark.training.preview import missing_weights

if TYPE_CHECKING:
    from conftest import Sweep

VASOMIM = {f"vasomim-{dataset}-{seed}" for dataset in ("synthetic_v", "arcade_v") for seed in "012"}
MAE = {name.replace("vasomim", "mae") for name in VASOMIM}


@pytest.fixture
def full(sweep: Sweep) -> Sweep:
    """Everything is done."""
    sweep.fill()
    return sweep


def mae(sweep: Sweep) -> Job:
    """The pre-training of MAE."""
    return next(job for job in sweep.plan().jobs if job.id == "train-mae-pretrain")


def test_of_an_empty_folder_everything_is_run_in_order(sweep):
    plan = sweep.plan()
    assert Counter(job.stage for job in plan.jobs) == {
        "segmentor": 1,
        "pretrain": 2,
        "finetune": 24,
    }
    assert plan.todo == {job.id for job in plan.jobs}
    place = {job.id: number for number, job in enumerate(plan.jobs)}
    assert all(place[need] < place[job.id] for job in plan.jobs for need in job.needs)
    needs = {job.title: job.needs for job in plan.jobs}
    assert needs["VASOMIM"] == ["train-segmentor-unext_s"]
    assert needs["vasomim · arcade_v · seed 2"] == ["train-vasomim-pretrain"]
    assert needs["unet · arcade_v · seed 2"] == []


def test_what_is_done_is_done_whatever_the_times_of_its_files(full):
    for number, path in enumerate(sorted(full.work.rglob("*"))):
        os.utime(path, (10**9 - number, 10**9 - number))
    assert set(full.states().values()) == {"done"}
    assert full.plan(rerun_stale=True, retry_failed=True).todo == frozenset()


def test_a_change_makes_stale_what_depends_on_it_until_it_is_reverted(full):
    """Settings of a dataset, a pre-training and the segmentor; split, corpus and encoder."""
    every = full.states()
    arcade = {name for name in every if "arcade_v" in name}
    for name, expected in (
        ("arcade_v", arcade),
        ("mae", {"mae", *MAE}),
        ("segmentor", {"segmentor", "vasomim", *VASOMIM}),
    ):
        full.change(**{name: 5})
        assert full.stale() == expected
        full.change(**{name: 4})
        assert full.stale() == set()
    full.write_task("arcade_v", stem="b")
    assert full.stale() == arcade
    full.write_task("arcade_v")
    full.write_pack("another")
    assert full.stale() == {"segmentor", "mae", "vasomim", *MAE, *VASOMIM}
    full.write_pack()
    path = full.work / "mae" / "pretrain" / "encoder.json"
    write_json(path, {**read_json(path), "weights_sha256": "other"})
    assert full.stale() == MAE


def test_stale_results_are_replaced_only_when_asked(full):
    """A missing cell of a stale encoder waits: it would be stale as soon as it was done."""
    full.change(mae=5)
    assert full.plan().todo == frozenset()
    plan = full.plan(rerun_stale=True)
    chosen = [job for job in plan.jobs if job.id in plan.todo]
    assert len(chosen) == 7
    assert all(job.full_command[-1] == "--overwrite" for job in chosen)
    (full.work / "results" / "demo" / "mae" / "arcade_v" / "seed1.json").unlink()
    plan = full.plan()
    assert plan.todo == frozenset()
    (cell,) = (job for job in plan.jobs if job.state == "missing")
    assert cell.reason == "waits for MAE, which is stale"


def test_records_without_their_runs_are_done(full):
    """Records from another machine: nothing has to be pre-trained to keep them."""
    shutil.rmtree(full.work / "mae")
    states = full.states()
    assert (states["mae"], states["mae-arcade_v-0"]) == ("missing", "done")
    assert full.plan().todo == frozenset()
    full.change(mae=5)
    assert {name for name, state in full.states().items() if state == "stale"} == MAE


@pytest.mark.parametrize("killed", ["mae", "segmentor"])
def test_a_retraining_that_was_interrupted_still_makes_its_dependants_stale(full, killed):
    """The folder was cleared for the new run, which then was killed."""
    full.change(**{killed: 5})
    run = "unext_s" if killed == "segmentor" else "pretrain"
    (job,) = (job for job in full.plan().jobs if job.id.startswith(f"train-{killed}"))
    folder = full.work / killed / run
    shutil.rmtree(folder)
    write_json(folder / "run.json", {"config_hash": job.config_hash, "corpus_hash": "corpus"})
    states = full.states()
    assert states.pop(killed) == "missing"
    wanted = MAE if killed == "mae" else {"vasomim", *VASOMIM}
    assert {name for name, state in states.items() if state == "stale"} == wanted
    todo = full.plan(rerun_stale=True).todo
    assert job.id in todo
    assert len(todo) == 1 + len(wanted)


def test_an_interrupted_training_is_resumed(sweep):
    job = mae(sweep)
    folder = sweep.work / "mae" / "pretrain"
    write_json(folder / "run.json", {"config_hash": job.config_hash, "corpus_hash": "corpus"})
    (folder / "epoch_1.pth").touch()
    job = mae(sweep)
    assert (job.state, job.reason, job.full_command[-1]) == ("missing", "interrupted", "--resume")
    sweep.change(mae=5)
    job = mae(sweep)
    assert (job.state, job.reason) == ("stale", "other settings")


def test_an_interrupted_training_is_not_resumed_with_other_weights(full):
    """It began with the segmentor that is about to be replaced."""
    folder = full.work / "vasomim" / "pretrain"
    run = read_json(folder / "run.json")
    del run["finished"]
    write_json(folder / "run.json", run)
    (folder / "epoch_1.pth").touch()
    assert full.states()["vasomim"] == "missing"
    full.change(segmentor=5)
    assert full.states()["vasomim"] == "stale"


def test_a_damaged_record_is_stale_and_says_why(full):
    scores = full.work / "results" / "demo" / "unet" / "arcade_v" / "seed0.csv"
    scores.write_text("image,dsc\na,99.0\n", encoding="utf-8")
    assert full.stale() == {"unet-arcade_v-0"}
    (job,) = (job for job in full.plan().jobs if job.state == "stale")
    assert "per_image.sha256" in job.reason


def test_a_failed_job_is_retried_only_on_request_or_after_a_change(sweep):
    job = mae(sweep)
    failure = {"error": "error: planted", "log": "x.log", "config_hash": job.config_hash}
    write_json(failure_path(job.id, sweep_folder(sweep.matrix)), failure)
    assert (mae(sweep).state, mae(sweep).reason) == ("failed", "error: planted (x.log)")
    waiting = sweep.plan().waiting()
    assert {job.title.split(" ")[0] for job in waiting} == {"MAE", "mae"}
    assert waiting[-1].reason == "waits for MAE, which is failed"
    assert job.id in sweep.plan(retry_failed=True).todo
    sweep.change(mae=5)
    assert mae(sweep).state == "missing"


def test_a_job_runs_while_its_lock_is_held_or_its_heart_beats(sweep):
    path = lock_path("train-mae-pretrain", sweep_folder(sweep.matrix))
    with acquire(path):
        assert mae(sweep).state == "running"
    assert mae(sweep).state == "missing"
    # On another machine of a cluster.
    text = '{{"host": "{}", "pid": 1, "since": "2026-01-01 00:00 UTC"}}'
    path.write_text(text.format("node7"), encoding="utf-8")
    assert mae(sweep).state == "running"
    # Long ago, or with a clock that was wrong.
    now = path.stat().st_mtime
    for then in (now - SILENCE - 1, now + SILENCE + 60):
        os.utime(path, (then, then))
        assert mae(sweep).state == "missing"
    # Here, by a process that was killed: nobody holds the lock.
    path.write_text(text.format(socket.gethostname()), encoding="utf-8")
    assert mae(sweep).state == "missing"


def test_missing_inputs_are_named_with_the_command_that_makes_them(sweep):
    """The rest of the matrix is run without them."""
    folder = sweep.work / "downstream" / "arcade_v"
    shutil.rmtree(folder)
    shutil.rmtree(sweep.work / "packs")
    corpus_of.cache_clear()
    released = sweep.only(methods=(*sweep.matrix.methods, "dinov3"))
    plan = released.plan()
    problems = {job.title: job.problem for job in plan.jobs}
    command = f"tools/prepare_data.py arcade --raw DIR --out {shlex.quote(str(folder))}"
    assert problems["unet · arcade_v · seed 0"] == f"{folder}: no such task: {command}"
    pack = shlex.quote(f"{sweep.work}/packs/p")
    assert f"tools/prepare_data.py SOURCE --raw DIR --out {pack}" in problems["MAE"]
    todo = {job.title for job in plan.jobs if job.id in plan.todo}
    assert {title.rpartition(" ·")[0] for title in todo} == {
        "frangi · synthetic_v",
        "unet · synthetic_v",
        "dinov3 · synthetic_v",
    }


def test_released_encoders_are_inputs(sweep):
    folder = sweep.work / "released" / "dinov3"
    one = sweep.only(methods=("dinov3",), datasets=("synthetic_v",))
    answer = one.resolve({"cells": [["dinov3", "synthetic_v"]], "seeds": [0, 1, 2], "packs": []})
    answer["cells"]["dinov3/synthetic_v"]["encoder"] = str(folder)
    one = replace(one)
    one.resolve = lambda request: answer  # type: ignore[method-assign]
    plan = one.plan()
    expected = f"{folder}: no such encoder: tools/convert_checkpoint.py dinov3 FILE --out "
    expected += shlex.quote(str(folder))
    assert {job.problem for job in plan.jobs} == {expected}
    assert plan.todo == frozenset()
    write_json(folder / "encoder.json", {"weights_sha256": "w"})
    assert len(one.plan().todo) == 3


def test_weights_that_no_job_makes_are_named_with_where_they_come_from(sweep):
    """In the words of `tools/train.py`."""
    one = sweep.only(methods=("mae",), datasets=("synthetic_v",))
    request = {"cells": [["mae", "synthetic_v"]], "seeds": [0, 1, 2], "packs": ["{work}/packs/p"]}
    answer = one.resolve(request)
    file = sweep.work / "released" / "clip" / "encoder.safetensors"
    (training,) = answer["trainings"].values()
    training.update(weights={"method.teacher.checkpoint": str(file)})
    training.update(packs=[str(sweep.work / "packs" / "p")])
    one = replace(one)
    one.resolve = lambda request: answer  # type: ignore[method-assign]
    plan = one.plan()
    problems = {job.title: job.problem for job in plan.jobs}
    assert problems["MAE"] == missing_weights(file)
    assert "tools/convert_checkpoint.py clip FILE" in problems["MAE"]
    assert plan.todo == frozenset()
    training.update(packs=["absent"])
    pack, weights = one.plan().jobs[0].problem.splitlines()  # everything at once
    assert pack.startswith("absent: no such folder")
    assert weights == missing_weights(file)


def test_hours_are_recorded_ones_or_an_estimate(sweep):
    def hours(plan_jobs: list[Job]) -> dict[str, tuple[float | None, str]]:
        return {job.title: (job.hours, job.source) for job in plan_jobs}

    before = hours(sweep.plan().jobs)
    # 10 frames × 4 epochs at 40 per second, 100 frames × 4 at 150, and 20 seconds to start.
    assert before["unet · arcade_v · seed 0"] == (
        pytest.approx((10 * 4 / 40 + 20) / 3600),
        "estimate",
    )
    assert before["MAE"] == (pytest.approx((100 * 4 / 150 + 20) / 3600), "estimate")
    sweep.only(methods=("unet",), datasets=("arcade_v",), seeds=(0,)).fill()
    sweep.only(methods=("mae",), datasets=("synthetic_v",), seeds=(0,)).fill()
    after = hours(sweep.plan().jobs)
    assert after["unet · arcade_v · seed 2"] == (pytest.approx(36 / 3600), "recorded")
    assert after["frangi · arcade_v · seed 2"] == (pytest.approx(36 / 3600), "other methods")
    # 72 seconds on two devices.
    assert after["MAE"] == (pytest.approx(144 / 3600), "recorded")
    assert after["VASOMIM"][1] == "estimate"


def test_without_data_the_published_frames_are_counted(sweep):
    shutil.rmtree(sweep.work / "downstream" / "arcade_v")
    known = sweep.only(frames={"arcade_v": 1000})
    for matrix, hours in ((sweep, None), (known, (1000 * 4 / 40 + 20) / 3600)):
        (job,) = (job for job in matrix.plan().jobs if job.title == "unet · arcade_v · seed 0")
        assert job.hours == (None if hours is None else pytest.approx(hours))
    (row,) = (line for line in known.told().splitlines() if "fine-tuning" in line)
    # Twelve cells are run, twelve are held back: 12 × 120 s.
    assert row.split()[-3:] == ["12", f"{12 * 21 / 3600:.2f}", f"{12 * 120 / 3600:.2f}"]


def test_several_gpus_are_for_pre_training_only(sweep):
    settings = SweepSettings(tools=sweep.tools, cell_gpus=1, pretrain_gpus=4)
    jobs = {job.id: job for job in make_plan(sweep.matrix, sweep.resolve, settings).jobs}
    mae = jobs["train-mae-pretrain"]
    assert mae.command[:4] == ["bash", str(sweep.tools / "dist_train.sh"), mae.command[2], "4"]
    assert {job.gpus for job in jobs.values() if job.stage == "pretrain"} == {4}
    assert {job.gpus for job in jobs.values() if job.stage != "pretrain"} == {1}


def test_plan_and_status_are_told_and_write_nothing(sweep):
    sweep.only(methods=("unet",), datasets=("arcade_v",), seeds=(0, 1)).fill()
    before = sweep.digest()
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    print_plan(sweep.plan(), console)
    print_status(sweep.plan(), console)
    text = console.export_text()
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.split()}
    assert rows["fine-tuning"][:7] == ["24", "2", "0", "0", "0", "22", "22"]
    assert rows["unet"] == ["—", "0/3", "2/3"]
    assert rows["mae"] == ["missing", "0/3", "0/3"]
    assert "2 done, 0 running, 0 failed, 0 stale, 22 missing" in text
    assert sweep.digest() == before


def test_a_method_or_data_set_that_is_not_there_is_named(sweep):
    with pytest.raises(InputError, match="vasomin: no such method"):
        sweep.only(methods=("vasomin",)).plan()
    with pytest.raises(InputError, match="arcade_x: no such dataset"):
        sweep.only(datasets=("arcade_x",)).plan()


def test_paths_of_the_work_folder_may_be_relative(sweep, monkeypatch):
    monkeypatch.chdir(sweep.work.parent)
    assert len(sweep.only(work=sweep.work.name).plan().todo) == 27


def test_the_segmentor_has_options_of_its_own(sweep):
    chosen = {"pretrain_options": ("epochs=4",), "segmentor_options": ("batch_size=8",)}
    jobs = sweep.only(**chosen).plan().jobs
    for stage, options in (("pretrain", ["epochs=4"]), ("segmentor", ["batch_size=8"])):
        commands = [job.command for job in jobs if job.stage == stage]
        assert commands
        for command in commands:
            assert command[command.index("--cfg-options") + 1 :] == options


def test_fine_tuned_models_are_kept_only_when_asked(sweep):
    """The later of two options of one key holds."""
    for options in ((), ("export_model=True", "batch_size=2")):
        jobs = sweep.only(finetune_options=options).plan().jobs
        cells = [job for job in jobs if job.stage == "finetune"]
        assert cells
        for job in cells:
            place = job.command.index("--cfg-options")
            assert job.command[place + 1 :] == ["export_model=False", *options]
