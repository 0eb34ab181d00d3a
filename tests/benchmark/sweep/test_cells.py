"""Rows and columns beside methods and datasets: analyses, shares of the labels, patch features."""

from __future__ import annotations

import importlib.util
from collections import Counter
from dataclasses import replace

from benchmark.files import write_json
from benchmark.sweep.jobs import CellJob, failure_path
from benchmark.sweep.plan import sweep_folder


def test_a_share_of_the_labels_is_a_cell_of_its_own(sweep):
    """Run by its option, on as many frames; done, stale and failed apart from all the labels."""
    sweep = sweep.only(
        methods=("unet", "mae"),
        datasets=("arcade_v", "arcade_v-25pct"),
        only={"arcade_v-25pct": ("mae",)},
        data={"arcade_v": "{work}/downstream/arcade_v"},
        seeds=(0,),
    )
    cells = {job.title: job for job in sweep.plan().jobs}
    assert set(cells) == {"MAE", *(f"{m} · arcade_v · seed 0" for m in ("unet", "mae"))} | {
        "mae · arcade_v-25pct · seed 0"
    }
    part = cells["mae · arcade_v-25pct · seed 0"]
    told = dict(zip(part.command[2::2], part.command[3::2]))
    assert (told["--dataset"], told["--label-fraction"]) == ("arcade_v", "0.25")
    assert told["--data"] == str(sweep.work / "downstream" / "arcade_v")
    assert part.needs == ["train-mae-pretrain"]
    # A quarter of ten frames, rounded.
    assert (part.frames, cells["mae · arcade_v · seed 0"].frames) == (2, 10)
    sweep.fill()
    assert set(sweep.states().values()) == {"done"}
    assert sorted(sweep.calls()) == [
        *("mae", "mae-arcade_v-0", "mae-arcade_v-25pct-0", "unet-arcade_v-0")
    ]
    sweep.change(arcade_v=5)
    assert {name for name in sweep.stale() if "25pct" in name} == {"mae-arcade_v-25pct-0"}
    sweep.change(arcade_v=4)
    record = sweep.work / "results" / "demo" / "mae" / "arcade_v-25pct" / "seed0.json"
    record.unlink()
    assert Counter(sweep.states().values()) == {"done": 3, "missing": 1}
    failure = {"error": "e", "log": "l", "config_hash": part.config_hash}
    write_json(failure_path(part.id, sweep_folder(sweep.matrix)), failure)
    assert sweep.states()["mae-arcade_v-25pct-0"] == "failed"


def test_a_number_of_labels_is_a_cell_that_costs_what_all_of_them_cost(sweep):
    sweep = sweep.only(methods=("mae",), datasets=("arcade_v", "arcade_v-5images"), seeds=(0, 1))
    jobs = [job for job in sweep.plan().jobs if "5images" in job.id]
    assert [job.title for job in jobs] == [f"mae · arcade_v-5images · seed {n}" for n in (0, 1)]
    told = dict(zip(jobs[1].command[2::2], jobs[1].command[3::2]))
    assert (told["--dataset"], told["--label-count"]) == ("arcade_v", "5")
    assert {job.frames for job in jobs} == {10}
    sweep.fill()
    assert set(sweep.states().values()) == {"done"}
    assert {"mae-arcade_v-5images-0", "mae-arcade_v-5images-1"} <= set(sweep.calls())


def test_few_labels_of_other_kinds_are_run_by_their_tools(sweep):
    datasets = ("arcade_v-5images-linear", "arcade_v-5images-lora")
    sweep = sweep.only(methods=("mae",), datasets=datasets, seeds=(3,))
    commands = {job.dataset: job.command for job in sweep.plan().jobs if isinstance(job, CellJob)}
    options = "--dataset arcade_v --seed 3 --label-count 5"
    linear, lora = (" ".join(commands[name][1:]) for name in datasets)
    assert "evaluate.py linear" in linear
    assert options in linear
    assert "finetune.py" in lora
    assert f"{options} --lora" in lora


def test_more_labels_than_images_are_a_problem_and_no_job(sweep):
    sweep = sweep.only(methods=("mae",), datasets=("arcade_v-10images", "arcade_v-11images"))
    plan = sweep.plan()
    problems = {job.dataset: job.problem for job in plan.jobs if isinstance(job, CellJob)}
    folder = sweep.work / "downstream" / "arcade_v"
    assert problems == {
        "arcade_v-10images": "",
        "arcade_v-11images": f"{folder}: has 10 images in train",
    }
    assert not [name for name in plan.todo if "11images" in name]


def test_patch_features_are_analysed_after_the_pre_training(sweep):
    """One job per seed, with the tool for it, for methods that have an encoder."""
    sweep = sweep.only(
        methods=("frangi", "mae"),
        datasets=("synthetic_v", "synthetic_v-patches"),
        finetune_options=("epochs=3",),
        seeds=(0,),
    )
    jobs = {job.id: job for job in sweep.plan().jobs}
    assert [job for job in jobs if "patches" in job] == [
        "analyse-demo-mae-synthetic_v-patches-seed0"
    ]
    cell = jobs["analyse-demo-mae-synthetic_v-patches-seed0"]
    assert cell.command[1:3] == [str(sweep.tools / "analyse.py"), "representations"]
    assert cell.command[-4:] == ["--dataset", "synthetic_v", "--seed", "0"]
    assert jobs["finetune-demo-mae-synthetic_v-seed0"].command[-1] == "epochs=3"
    assert (cell.stage, cell.needs) == ("analyse", ["train-mae-pretrain"])
    sweep.only(finetune_options=()).fill()
    done = sweep.only(finetune_options=())
    assert set(done.states().values()) == {"done"}
    done.change(mae=5)
    assert {name for name in done.stale() if "patches" in name} == {"mae-synthetic_v-patches-0"}
    assert "representations" in done.told()


def test_low_rank_adaptation_is_a_cell_of_its_own(sweep):
    """Of methods that have an encoder; its settings are not for the other cells."""
    sweep = sweep.only(
        methods=("unet", "mae"),
        datasets=("synthetic_v", "synthetic_v-lora", "synthetic_v-25pct-lora"),
        finetune_options=("lora.rank=4", "epochs=3"),
        seeds=(0,),
    )
    jobs = {job.id: job for job in sweep.plan().jobs}
    assert [job for job in jobs if "lora" in job] == [
        f"finetune-demo-mae-synthetic_v{share}-lora-seed0" for share in ("", "-25pct")
    ]
    cell = jobs["finetune-demo-mae-synthetic_v-25pct-lora-seed0"]
    assert cell.needs == ["train-mae-pretrain"]
    told = " ".join(cell.command[2:])
    assert "--dataset synthetic_v --seed 0 --label-fraction 0.25 --lora" in told
    assert cell.command[-2:] == ["lora.rank=4", "epochs=3"]
    plain = jobs["finetune-demo-mae-synthetic_v-seed0"].command
    assert plain[-1] == "epochs=3"
    assert not {"--lora", "lora.rank=4"} & set(plain)
    done = sweep.only(finetune_options=())
    done.fill()
    assert set(done.states().values()) == {"done"}
    assert "mae-synthetic_v-25pct-lora-0" in done.calls()


def test_patches_of_another_split_and_by_umap(sweep, monkeypatch):
    """Frames are those of the split; a library that is missing is named before anything runs."""
    one = replace(sweep.only(methods=("unet",), datasets=("synthetic_v",), seeds=(0,)))
    answer = one.resolve({"cells": [["unet", "synthetic_v-patches-test"]], "seeds": [0]})
    answer["cells"]["unet/synthetic_v-patches-test"]["umap"] = True
    one.resolve = lambda request: answer  # type: ignore[method-assign]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (cell,) = one.plan().jobs
    assert (cell.frames, cell.command[-2:]) == (1, ["--split", "test"])
    assert "pip install umap-learn" in cell.problem
    assert one.plan().todo == frozenset()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert len(one.plan().todo) == 1


def test_a_run_of_the_analyses_is_pre_trained_once_and_fine_tuned_by_its_id(sweep):
    sweep.change(**{"analysis-schedule_0_1": 4})
    sweep = sweep.only(methods=("mae", "analysis-schedule_0_1"), seeds=(0,))
    jobs = {job.id: job for job in sweep.plan().jobs}
    training = jobs["train-analysis-schedule_0_1"]
    assert training.folder == str(sweep.work / "analysis" / "schedule_0_1")
    assert training.command[2].endswith("configs/analysis/schedule_0_1.py")
    cells = [job for job in jobs.values() if job.needs == [training.id]]
    assert [job.id for job in cells] == [
        f"finetune-demo-analysis-schedule_0_1-{name}-seed0" for name in ("synthetic_v", "arcade_v")
    ]
    assert all("analysis-schedule_0_1" in job.command for job in cells)
    sweep.fill()
    assert set(sweep.states().values()) == {"done"}
    assert Counter(sweep.calls())["analysis-schedule_0_1"] == 1
    sweep.change(**{"analysis-schedule_0_1": 5})
    names = [f"analysis-schedule_0_1-{name}-0" for name in ("synthetic_v", "arcade_v")]
    assert sweep.stale() == {"analysis-schedule_0_1", *names}


def test_two_matrices_of_one_folder_share_their_runs(sweep):
    """What the main board has done is done for the analyses, pre-trainings included."""
    sweep.fill()
    sweep.change(**{"analysis-schedule_0_1": 4})
    plan = sweep.only(methods=("vasomim", "analysis-schedule_0_1")).plan()
    todo = {job.title.partition(" ")[0] for job in plan.jobs if job.id in plan.todo}
    assert todo == {"ANALYSIS-SCHEDULE_0_1", "analysis-schedule_0_1"}


def test_a_config_with_packs_of_its_own_keeps_them(sweep):
    """The packs of the matrix are those in place of the usual ones."""
    answer = sweep.resolve({"cells": [["mae", "arcade_v"]], "seeds": [0], "packs": ["own"]})
    one = replace(sweep.only(methods=("mae",), datasets=("arcade_v",), seeds=(0,)))
    one.resolve = lambda request: answer  # type: ignore[method-assign]
    training = next(job for job in one.plan().jobs if job.stage == "pretrain")
    assert "--packs" not in training.command
    assert training.problem.startswith("own: ")
    assert next(job for job in sweep.plan().jobs if job.stage == "pretrain").command[-2:] == [
        "--packs",
        f"{sweep.work}/packs/p",
    ]


def test_frozen_encoders_are_evaluated_after_the_pre_training(sweep):
    """By their own tool, without the options of the fine-tuning, with fewer labels as well."""
    datasets = ("synthetic_v-linear", "synthetic_v-knn", "synthetic_v-5images-linear")
    sweep = sweep.only(
        methods=("frangi", "unet", "mae"),
        datasets=datasets,
        finetune_options=("epochs=3",),
        seeds=(0,),
    )
    jobs = {job.id: job for job in sweep.plan().jobs}
    assert list(jobs) == [
        "train-mae-pretrain",
        *(f"evaluate-demo-mae-{dataset}-seed0" for dataset in datasets),
    ]
    for dataset, kind in zip(datasets, ("linear", "knn", "linear")):
        cell = jobs[f"evaluate-demo-mae-{dataset}-seed0"]
        assert cell.command[1:3] == [str(sweep.tools / "evaluate.py"), kind]
        assert "epochs=3" not in cell.command
        assert ("--label-count" in cell.command) == ("5images" in dataset)
        assert cell.needs == ["train-mae-pretrain"]
        assert cell.hours > 0
    done = sweep.only(finetune_options=())
    done.fill()
    assert set(done.states().values()) == {"done"}
    assert "frozen encoders" in done.told()
    done.change(mae=5)
    assert {f"mae-{dataset}-0" for dataset in datasets} <= done.stale()


def test_another_encoder_or_other_settings_make_frozen_cells_stale(sweep):
    """Of every kind those that depend on it, and no other; until it is reverted."""
    kinds = ("linear", "knn", "5images-linear", "lora")
    datasets = tuple(f"synthetic_v-{kind}" for kind in kinds)
    sweep = sweep.only(methods=("mae", "vasomim"), datasets=datasets, seeds=(0,))
    sweep.fill()
    assert set(sweep.states().values()) == {"done"}
    sweep.change(mae=5)  # as another number of epochs of its pre-training does
    of_mae = {f"mae-{name}-0" for name in datasets}
    assert {name for name in sweep.stale() if "synthetic_v" in name} == of_mae
    sweep.change(mae=4)
    assert sweep.stale() == set()
    sweep.change(synthetic_v=5)
    of_both = {f"{method}-{name}-0" for name in datasets for method in ("mae", "vasomim")}
    assert sweep.stale() == of_both
