"""Fine-tuned models scored on other datasets and under corruptions, as cells of a matrix."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from benchmark.errors import InputError
from benchmark.files import read_json, write_json
from benchmark.method_cards import CONFIGS
from benchmark.results import config_hash
from benchmark.sweep.cells import cells_of, fine_tuning_of, with_fine_tunings
from benchmark.sweep.config_cache import request_for
from benchmark.sweep.config_facts import config_facts
from benchmark.sweep.jobs import CellJob
from benchmark.sweep.matrix import Matrix

if TYPE_CHECKING:
    from conftest import Sweep

ELSEWHERE = ("arcade_v-to-synthetic_v", "arcade_v-corruptions")
MAE = {f"mae-{name}-0" for name in ELSEWHERE}


@pytest.fixture
def elsewhere(sweep: Sweep) -> Sweep:
    """MAE and the filter, which have models on one dataset and are scored on two more."""
    return sweep.only(methods=("frangi", "mae"), datasets=ELSEWHERE, seeds=(0,))


def test_the_fine_tuning_of_an_id():
    assert fine_tuning_of("dca1-to-xcav.val") == "dca1"
    assert fine_tuning_of("dca1-10pct-corruptions") == "dca1-10pct"
    assert fine_tuning_of("dca1-5images-to-xcav") == "dca1-5images"
    assert fine_tuning_of("dca1-lora-to-xcav") == "dca1-lora"
    assert {fine_tuning_of(name) for name in ("dca1", "dca1-lora", "dca1-patches")} == {None}
    cells = [("mae", "a-to-b"), ("mae", "b"), ("unet", "b")]
    assert with_fine_tunings(cells) == [
        ("mae", "b"),
        ("unet", "b"),
        ("mae", "a"),
        ("mae", "a-to-b"),
    ]
    assert with_fine_tunings(cells[1:]) == cells[1:]


def test_a_model_is_trained_and_kept_before_it_is_scored(elsewhere):
    """The fine-tunings that are not in the matrix are added, and only theirs are kept."""
    plan = elsewhere.plan()
    jobs = {job.id: job for job in plan.jobs}
    assert plan.todo == set(jobs)
    assert Counter(job.stage for job in plan.jobs) == {"pretrain": 1, "finetune": 2, "test": 4}
    trained = jobs["finetune-demo-mae-arcade_v-seed0"]
    assert trained.command[-2:] == ["export_model=False", "export_model=True"]
    for name in ELSEWHERE:
        cell = jobs[f"test-demo-mae-{name}-seed0"]
        assert cell.needs == [trained.id]
        assert cell.model == trained.keeps == cell.command[2]
        assert cell.frames == 1  # of the test split, not of the ten to train on
    scored = jobs["test-demo-mae-arcade_v-to-synthetic_v-seed0"].command
    folder = elsewhere.work / "downstream"
    assert scored[-6:] == [
        *("--data", str(folder / "synthetic_v"), "--dataset", "synthetic_v", "--split", "test")
    ]
    corrupted = jobs["test-demo-mae-arcade_v-corruptions-seed0"].command
    assert corrupted[-3:] == ["--data", str(folder / "arcade_v"), "--corruptions"]
    told = elsewhere.told()
    assert "models that are kept to be scored elsewhere: 2, about 0.0054 GB" in told
    assert "2 methods, 2 datasets, 1 seeds: 4 cells" in told
    assert "scoring elsewhere" in told


def test_in_a_matrix_with_their_datasets_only_the_models_that_are_scored_are_kept(sweep):
    datasets = ("synthetic_v", "arcade_v", "arcade_v-corruptions")
    one = sweep.only(methods=("mae", "unet"), datasets=datasets, seeds=(0,))
    one = one.only(only={"arcade_v-corruptions": ("mae",)})
    jobs = [job for job in one.plan().jobs if isinstance(job, CellJob)]
    assert len(jobs) == 5
    assert all(job.requested for job in jobs)
    kept = [job.title for job in jobs if job.command[-1] == "export_model=True"]
    assert kept == ["mae · arcade_v · seed 0"] == [job.title for job in jobs if job.keeps]


def test_done_is_done_and_what_a_retraining_makes_stale(elsewhere):
    elsewhere.fill()
    assert set(elsewhere.states().values()) == {"done"}
    assert elsewhere.plan(rerun_stale=True).todo == frozenset()
    every = {"mae-arcade_v-0", "frangi-arcade_v-0", *MAE}
    every |= {name.replace("mae", "frangi") for name in MAE}
    for name, expected in (("mae", {"mae", "mae-arcade_v-0", *MAE}), ("arcade_v", every)):
        elsewhere.change(**{name: 5})
        assert elsewhere.stale() == expected
        elsewhere.change(**{name: 4})
    elsewhere.write_task("synthetic_v", stem="b")
    assert elsewhere.stale() == {f"{m}-arcade_v-to-synthetic_v-0" for m in ("mae", "frangi")}
    elsewhere.write_task("synthetic_v")
    # Somebody has trained it again: other weights are in the folder.
    model = elsewhere.work / "mae" / "finetune" / "arcade_v" / "seed0" / "model.json"
    write_json(model, {**read_json(model), "weights_sha256": "other"})
    assert elsewhere.stale() == MAE
    (reason,) = {job.reason for job in elsewhere.plan().jobs if job.state == "stale"}
    assert reason == f"another model in {model.parent}"


def test_records_without_their_models_are_done(elsewhere):
    """Deleting the models once they are scored costs nothing, nor does another machine."""
    elsewhere.fill()
    shutil.rmtree(elsewhere.work / "mae" / "finetune")
    shutil.rmtree(elsewhere.work / "results" / "demo" / "mae" / "arcade_v")
    assert elsewhere.plan(rerun_stale=True).todo == frozenset()


def test_a_model_that_was_not_kept_is_trained_again_when_asked(elsewhere):
    """Its record is there from a sweep that kept no models."""
    trained = elsewhere.only(datasets=("arcade_v",))
    trained.fill()
    states = elsewhere.states()
    assert {states[name] for name in MAE} == {"missing"}
    assert states["mae-arcade_v-0"] == "stale"
    plan = elsewhere.plan()
    assert plan.todo == frozenset()
    told = elsewhere.told()
    assert "its model, which is to be scored, was not kept" in told
    assert "waits for mae · arcade_v · seed 0, which is stale" in told
    plan = elsewhere.plan(rerun_stale=True)
    chosen = {job.title: job for job in plan.jobs if job.id in plan.todo}
    assert len(chosen) == 6
    assert chosen["mae · arcade_v · seed 0"].full_command[-1] == "--overwrite"
    assert trained.plan(rerun_stale=True).todo == frozenset()


def test_a_sweep_runs_them_in_order(elsewhere):
    assert elsewhere.run() == 0
    assert set(elsewhere.states().values()) == {"done"}
    calls = elsewhere.calls()
    assert len(calls) == 7
    for name in MAE:
        assert calls.index("mae-arcade_v-0") < calls.index(name)
    elsewhere.assert_tidy()


def test_what_cannot_be_scored_is_refused():
    def refusal(*datasets: str) -> str:
        matrix = Matrix(name="m", title="M", methods=("mae",), datasets=datasets, seeds=(0,))
        with pytest.raises(InputError) as error:
            cells_of(matrix, CONFIGS)
        return str(error.value)

    assert refusal("stenosis-corruptions") == (
        "stenosis-corruptions: corruptions compare the DSC of masks; detection has none"
    )
    assert refusal("xcav-to-stenosis") == (
        "xcav-to-stenosis: a model for segmentation, but stenosis is for detection"
    )
    assert refusal("xcav-to-xcaf").startswith("xcaf: no such dataset in")


def test_hashes_are_those_of_the_tool(tmp_path):
    """Of the fine-tuning's config with what is tested, whatever the weights."""
    matrix = Matrix(
        name="m",
        title="M",
        methods=("mae",),
        datasets=(
            "synthetic_v-to-dca1",
            "synthetic_v-corruptions",
            "synthetic_v-10pct-to-dca1.val",
        ),
        seeds=(0, 1),
        scale="tiny",
        work=str(tmp_path),
        data={"dca1": "{work}/mine"},
        frames={"dca1.test": 34},
    )
    facts = config_facts(request_for(matrix, CONFIGS))["cells"]
    assert list(facts)[:2] == ["mae/synthetic_v", "mae/synthetic_v-10pct"]
    moved, corrupted = facts["mae/synthetic_v-to-dca1"], facts["mae/synthetic_v-corruptions"]
    assert (moved["data"], moved["epochs"]) == (f"{tmp_path}/mine", 1)
    assert (corrupted["data"], corrupted["epochs"]) == (f"{tmp_path}/downstream/synthetic_v", 36)
    assert moved["encoder"] is corrupted["encoder"] is None
    hashes = [hash_ for cell in facts.values() for hash_ in cell["hashes"].values()]
    assert len(set(hashes)) == len(hashes) == 10
    assert config_hash({"a": 1, "transfer": {"checkpoint": "x"}}) == config_hash(
        {"a": 1, "transfer": {"checkpoint": "y"}}
    )
