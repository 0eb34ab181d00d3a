"""tools/test.py --dataset: scores of a model on other data, in records of their own kind."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import brier_score_loss, f1_score

from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.downstream.fine_tuned.model import load_model
from benchmark.downstream.transfer.identity import transfer_id
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.results import (
    config_hash,
    find_problems,
    read_dataset_id,
    read_examples,
    read_record,
)

TOOL = CONFIGS.parent / "tools" / "test.py"


@pytest.fixture
def tool(run_tool):
    return partial(run_tool, TOOL)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> TaskFolder:
    """Frames of other patients and of another size, with a val split."""
    source = open_source(
        "synthetic", patients=4, videos=1, frames=5, first_frame=3, size=72, seed=7
    )
    out = tmp_path_factory.mktemp("other") / "task"
    return write_task_folder(
        source, out, "segmentation", "other", val_fraction=0.34, progress=False
    )


def test_on_its_own_test_split_the_scores_are_those_of_the_record(tool, trained, vessels, tmp_path):
    """To the last bit, image by image; under ids of its own."""
    call = (trained.folder, "--dataset", "synthetic_v", "--data", vessels.path, "--work", tmp_path)
    done = tool(*call)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("MAE · synthetic_v-to-synthetic_v · seed 0: dsc ")
    (path,) = (tmp_path / "results").rglob("*.json")
    assert path.relative_to(tmp_path / "results").as_posix() == (
        "demo/mae/synthetic_v-to-synthetic_v/seed0.json"
    )
    record, before = read_record(path), read_record(trained.record)
    assert record.metrics == before.metrics
    assert path.with_suffix(".csv").read_bytes() == trained.record.with_suffix(".csv").read_bytes()
    same = ("method", "title", "family", "pretraining", "seed", "encoder", "split_hash")
    for name in (*same, "parameters"):
        assert getattr(record, name) == getattr(before, name), name
    weights = load_model(trained.folder).description.weights_sha256
    tested = {"trained": "synthetic_v", "tested": "synthetic_v", "split": "test"}
    assert record.config["transfer"] == {**tested, "checkpoint": weights}
    # Equal for all seeds, which have other weights.
    tested["checkpoint"] = "of another seed"
    assert record.config_hash == config_hash({**before.config, "transfer": tested})
    assert [one.image for one in read_examples(path)] == [
        one.image for one in read_examples(trained.record)
    ]
    assert find_problems(tmp_path / "results") == (1, [])
    refused = tool(*call).refusal
    assert "seed0.json: there already; --overwrite replaces it" in refused
    assert tool(*call, "--overwrite").returncode == 0


def test_other_data_are_scored_against_their_own_truth(tool, trained, other, tmp_path):
    """DSC by scikit-learn from masks of the library; of the test and of the val split."""
    model = load_model(trained.folder)
    places = ("--data", other.path, "--results", tmp_path, "--batch-size", 1)
    for split, name in (("test", "synthetic_v-to-other"), ("val", "synthetic_v-to-other.val")):
        done = tool(trained.folder, "--dataset", "other", *places, "--split", split)
        assert done.returncode == 0, done.stderr
        path = tmp_path / "demo" / "mae" / name / "seed0.json"
        rows = pd.read_csv(path.with_suffix(".csv"), index_col="image")
        items = other.splits[split]
        assert rows.index.tolist() == [item["stem"] for item in items]
        assert rows["patient"].tolist() == [item["group"] for item in items]
        pixels = []
        for stem, row in rows.iterrows():
            frame = np.asarray(Image.open(other.image(split, stem)))
            (prediction,) = model.predict([frame])
            (truth,) = other.channels(split, stem)
            expected = 100 * f1_score(truth.ravel(), prediction.masks.ravel())
            assert row["dsc"] == pytest.approx(expected, rel=1e-9)
            pixels.append((truth.ravel(), prediction.probabilities.ravel().astype(float)))
            assert row["brier"] == pytest.approx(100 * brier_score_loss(*pixels[-1]), rel=1e-6)
        record = read_record(path)
        pooled = 100 * brier_score_loss(*map(np.concatenate, zip(*pixels)))
        assert record.metrics["brier"].value == pytest.approx(pooled, rel=1e-6)
        assert not record.metrics["ece"].higher_is_better
        assert not record.metrics["ece"].headline
        assert (record.split_hash, record.dataset) == (other.split_hash, name)


def test_a_transfer_never_stands_in_a_column_of_fine_tuning(
    tool, run_tool, trained, other, tmp_path
):
    """In one folder of results with the record of the fine-tuning, and of the same protocol."""
    results = tmp_path / "results"
    shutil.copytree(trained.results, results)
    options = ("--dataset", "other", "--data", other.path, "--results", results)
    assert tool(trained.folder, *options).returncode == 0
    call = ("--results", results, "--protocol", "demo", "--out", tmp_path, "--format", "csv")
    done = run_tool("leaderboard", *call)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "leaderboard.csv")
    assert not (
        table["board"].eq("segmentation") & table["dataset"].eq("synthetic_v-to-other")
    ).any()


@pytest.mark.parametrize(
    ("trained", "tested", "split", "expected"),
    [
        ("dca1", "xcav", "test", "dca1-to-xcav"),
        ("dca1-10pct", "xcav", "val", "dca1-10pct-to-xcav.val"),
        ("dca1-5images", "xcav", "train", "dca1-5images-to-xcav.train"),
        # With adapters it is another model than without, and never in its place.
        ("dca1-lora", "xcav", "test", "dca1-lora-to-xcav"),
        ("dca1", "my.val", "test", None),
    ],
)
def test_ids_of_transfers(trained, tested, split, expected):
    if expected is None:
        with pytest.raises(InputError, match=r"my\.val: reads as another id in dca1-to-my\.val"):
            transfer_id(trained, tested, split)
    else:
        assert transfer_id(trained, tested, split) == expected
        assert read_dataset_id(expected).tested == tested


def test_boxes_and_denoised_frames_are_scored_on_any_split(
    compose_cell, score_cell, export_vit, run_tool, tmp_path
):
    """The val and train splits of a task, whose truth is not that of its test split."""
    options = dict(patients=5, videos=1, frames=6, first_frame=4, size=80, seed=2)
    options["test_fraction"] = 0.4
    kinds = {"detection": ("faster_rcnn", "synthetic_d"), "denoising": ("nlm", "synthetic_n")}
    for kind, (method, dataset) in kinds.items():
        source = open_source("synthetic", **options)
        task = write_task_folder(
            source, tmp_path / kind, kind, val_fraction=0.5, frames_per_group=2, progress=False
        )
        cell = score_cell(
            compose_cell(tmp_path / "work", method, dataset, [f"data.folder={task.path}"])
        )
        places = ("--data", task.path, "--results", tmp_path / "results")
        for split in ("val", "train"):
            done = run_tool(TOOL, cell.folder, "--dataset", dataset, *places, "--split", split)
            assert done.returncode == 0, done.stderr
            (path,) = (tmp_path / "results").rglob(f"{dataset}-to-{dataset}.{split}/seed0.json")
            rows = pd.read_csv(path.with_suffix(".csv"))
            assert rows["image"].tolist() == [item["stem"] for item in task.splits[split]]
    assert find_problems(tmp_path / "results") == (4, [])


def test_bad_input_is_one_line_before_anything_heavy(light_answers, trained, vessels, tmp_path):
    options = dict(patients=2, videos=1, frames=4, first_frame=3, size=64)
    source = open_source("synthetic", **options, task="synthetic_s")
    others = write_task_folder(source, tmp_path / "s", "segmentation", progress=False)
    boxes = write_task_folder(
        open_source("synthetic", **options), tmp_path / "d", "detection", progress=False
    )
    model = ("test.py", str(trained.folder))
    named = ("--dataset", "mine")
    commands = {
        ("test.py", str(tmp_path), *named): "no fine-tuned model (model.json is missing)",
        (*model, *named): "mine: no such dataset in",
        (*model, "--dataset", "stenosis"): "a dataset for detection, but the model is for segment",
        (*model, "--dataset", "xcav", "--work", str(tmp_path)): "make it with tools/prepare_data",
        (*model, *named, "--data", str(tmp_path)): "not a task folder (manifest.json is missing)",
        (*model, *named, "--data", str(boxes.path)): "a detection task, but the model is for segm",
        (*model, *named, "--data", str(others.path)): (
            "its classes are background, stenosis, but those of the model background, vessel"
        ),
        (*model, *named, "--data", str(vessels.path), "--split", "val"): "has no split 'val', only",
        (*model, "--dataset", "a/b", "--data", str(vessels.path)): "must be a name of letters",
        (*model, "--dataset", ""): "--dataset: empty; name the dataset",
        (*model, *named, "--results", f"{trained.folder}/model.json"): "model.json: a file stands",
        (*model, *named, "--batch-size", "0"): "'0' is not an integer of 1",
        (*model, *named, "--corruptions"): "not allowed with argument --dataset",
        model: "one of the arguments --dataset --corruptions is required",
    }
    for answer, message in zip(light_answers(*commands), commands.values(), strict=True):
        assert (answer.returncode, answer.stdout) == (2, "")
        assert message in answer.stderr.splitlines()[-1]


def test_a_folder_of_another_dataset_is_refused(tool, trained, tmp_path):
    source = open_source("synthetic", patients=2, videos=1, frames=4, first_frame=3, size=64)
    task = write_task_folder(source, tmp_path / "v", "segmentation", "xcav", progress=False)
    done = tool(trained.folder, "--dataset", "caxf", "--data", Path(task.path))
    assert "prepared as xcav; give --data the folder of caxf" in done.refusal
