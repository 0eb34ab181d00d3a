"""tools/test.py --corruptions: one record of all conditions."""

from __future__ import annotations

import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import brier_score_loss, f1_score
from torchmetrics.functional.classification import binary_calibration_error

from benchmark.data.sources import open_source
from benchmark.data.tasks import write_task_folder
from benchmark.downstream.fine_tuned.model import load_model
from benchmark.downstream.transfer import corrupted
from benchmark.downstream.transfer.corrupted import _summary, score_corruptions
from benchmark.downstream.transfer.identity import read_corruptions, scored_weights
from benchmark.downstream.transfer.planning import plan_corruptions
from benchmark.method_cards import CONFIGS
from benchmark.results import config_hash, find_problems, read_record

TOOL = CONFIGS.parent / "tools" / "test.py"
USUAL = read_corruptions(CONFIGS)
CONDITIONS = [(name, severity) for name in USUAL.levels for severity in range(1, 6)]


@pytest.fixture(scope="module")
def path(trained, tmp_path_factory):
    """The record of the model of `trained` under all corruptions."""
    test = plan_corruptions(trained.folder, trained.folder, tmp_path_factory.mktemp("results"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corrupted, "LEAST_CLEAN_DSC", 1.0)  # after two epochs it is not yet 10
        score_corruptions(test, progress=False)
    return test.record


def test_clean_scores_are_those_of_the_fine_tuning(path, trained):
    """To the last bit, image by image; in the same protocol, as a dataset of its own."""
    record, before = read_record(path), read_record(trained.record)
    assert path.parts[-4:] == ("demo", "mae", "synthetic_v-corruptions", "seed0.json")
    assert record.parameters == before.parameters > 0
    for name in ("dsc", "ece", "brier"):
        assert record.metrics[f"{name}_clean"].value == before.metrics[name].value
        assert record.metrics[f"{name}_clean"].definition == before.metrics[name].definition
        assert record.metrics[name].definition != before.metrics[name].definition
    rows, clean = (pd.read_csv(one.with_suffix(".csv")) for one in (path, trained.record))
    assert rows["patient"].tolist() == clean["patient"].tolist()
    for name in ("image", "dsc", "ece", "brier"):
        shown = rows[name if name == "image" else f"{name}_clean"]
        assert shown.tolist() == clean[name].tolist()
    assert find_problems(path.parents[3]) == (1, [])


def test_every_condition_is_scored_as_written_out_here(path, trained, vessels):
    """DSC, Brier score and ECE of other libraries, from frames corrupted here one by one."""
    model, record = load_model(trained.folder), read_record(path)
    values = {name: metric.value for name, metric in record.metrics.items()}
    dsc, brier, ece = {}, {}, {}
    stems = [item["stem"] for item in vessels.splits["test"]]
    truths = [vessels.channels("test", stem) for stem in stems]
    for condition in CONDITIONS:
        frames = [np.asarray(Image.open(vessels.image("test", stem))) for stem in stems]
        # In the other order than the tool has.
        found = model.predict([USUAL.apply(frame, *condition) for frame in frames][::-1])[::-1]
        scores = [f1_score(t.ravel(), one.masks.ravel()) for t, one in zip(truths, found)]
        dsc[condition] = 100 * np.mean(scores)
        p = np.stack([one.probabilities for one in found]).ravel().astype(float)
        t = np.stack(truths).ravel()
        brier[condition] = 100 * brier_score_loss(t, p)
        ece[condition] = 100 * float(
            binary_calibration_error(torch.tensor(p), torch.tensor(t).int(), 15)
        )
    for name in USUAL.levels:
        own = [dsc[name, severity] for severity in range(1, 6)]
        assert [values[f"dsc_{name}_{s}"] for s in range(1, 6)] == pytest.approx(own, abs=0.01)
        assert values[f"dsc_{name}"] == pytest.approx(np.mean(own), abs=0.01)
    mean = np.mean(list(dsc.values()))
    assert values["dsc"] == pytest.approx(mean, abs=0.01)
    relative = np.mean([100 * one / values["dsc_clean"] for one in dsc.values()])
    assert values["relative_dsc"] == pytest.approx(relative, abs=0.02)
    assert values["brier"] == pytest.approx(np.mean(list(brier.values())), abs=1e-3)
    assert values["ece"] == pytest.approx(np.mean(list(ece.values())), abs=1e-3)
    headline = {name for name, metric in record.metrics.items() if metric.headline}
    assert headline == {"relative_dsc", "dsc", "ece", "brier"}
    lower = {name for name, metric in record.metrics.items() if not metric.higher_is_better}
    assert lower == {"ece", "brier", "ece_clean", "brier_clean"}
    assert len(values) == 4 + 3 + 7 + 35
    rows = pd.read_csv(path.with_suffix(".csv"))
    for name in values.keys() - {"relative_dsc", "ece", "brier", "ece_clean", "brier_clean"}:
        assert rows[name].mean() == pytest.approx(values[name], rel=1e-9), name


def test_a_model_that_finds_next_to_nothing_has_no_relative_dsc():
    """Its clean DSC is no reference: below 10 %, whatever the corrupted one is."""
    for clean, expected in ((10.0, 40.0), (9.99, None), (0.0, None)):
        found = _summary({None: clean, ("jpeg", 1): 3.0, ("jpeg", 2): 5.0}, {})
        relative = found.pop("relative_dsc")
        assert relative == pytest.approx(expected) if expected else np.isnan(relative)
        assert (found["dsc"], found["dsc_clean"]) == (4.0, clean)


def test_the_config_says_what_was_done_and_its_hash_is_that_of_all_seeds(path, trained):
    record, before = read_record(path), read_record(trained.record)
    assert record.config["corruptions"].keys() == {"levels", "seed", "checkpoint"}
    weights = load_model(trained.folder).description.weights_sha256
    assert scored_weights(record.config) == weights
    content = {**before.config, "corruptions": {**USUAL.settings, "checkpoint": "of another seed"}}
    assert record.config_hash == config_hash(content)
    content["corruptions"]["seed"] = 1
    assert record.config_hash != config_hash(content)


def test_a_filter_has_no_calibration_and_is_scored_all_the_same(
    run_tool, compose_cell, score_cell, vessels, tmp_path
):
    cell = score_cell(
        compose_cell(tmp_path, "frangi", "synthetic_v", [f"data.folder={vessels.path}"])
    )
    assert not {"ece", "brier"} & read_record(cell.record).metrics.keys()
    done = run_tool(TOOL, cell.folder, "--corruptions", "--work", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Frangi filter · synthetic_v-corruptions · seed 0: ")
    record = read_record(tmp_path / "results/demo/frangi/synthetic_v-corruptions/seed0.json")
    assert len(record.metrics) == 2 + 1 + 7 + 35
    assert record.parameters == 0, "a filter has none"


@pytest.mark.parametrize("label_map", [False, True])
def test_several_classes_that_may_overlap(
    label_map, export_vit, compose_cell, score_cell, sizes, tmp_path
):
    """A sigmoid for each class, and one label per pixel; clean scores are those of the record."""
    source = open_source(
        "synthetic", patients=3, videos=1, frames=4, first_frame=3, size=80, task="synthetic_vs"
    )
    task = write_task_folder(source, tmp_path / "task", "segmentation", progress=False)
    export_vit(tmp_path / "mae" / "pretrain")
    options = (*sizes, f"data.folder={task.path}", f"label_map={label_map}")
    cell = score_cell(compose_cell(tmp_path, "mae", "synthetic_vs", options))
    record = score_corruptions(plan_corruptions(cell.folder, tmp_path, tmp_path), progress=False)
    before = read_record(cell.record).metrics
    for name in ("dsc", "ece", "brier"):
        assert record.metrics[f"{name}_clean"] == before[name].model_copy(
            update={"headline": False}
        )
    assert "pooled-over-all-pixels-and-classes" in record.metrics["ece"].definition


def test_bad_input_is_one_line_before_anything_heavy(
    light_answers, trained, compose_cell, score_cell, tmp_path
):
    source = partial(open_source, "synthetic", patients=3, videos=1, frames=5, first_frame=3)
    other = write_task_folder(
        source(size=64, seed=5), tmp_path / "other", "segmentation", "vessels", progress=False
    )
    noisy = write_task_folder(
        source(size=80), tmp_path / "n", "denoising", frames_per_group=2, progress=False
    )
    cell = score_cell(
        compose_cell(tmp_path / "work", "nlm", "synthetic_n", [f"data.folder={noisy.path}"])
    )
    configs = tmp_path / "configs"
    shutil.copytree(CONFIGS / "_base_", configs / "_base_")
    levels = configs / "_base_" / "corruptions.py"
    levels.write_text("seed = 0\ncorruptions = dict(jpeg=(40, 20))\n", encoding="utf-8")
    model = ("test.py", str(trained.folder), "--corruptions")
    commands = {
        ("test.py", str(cell.folder), "--corruptions"): "a model for denoising has none",
        (*model, "--data", str(other.path)): "not the split that the model was trained and scored",
        (*model, "--data", str(noisy.path)): "a denoising task, but the model is for segmentation",
        (*model, "--split", "val"): "corruptions are those of the test split; remove it",
        (*model, "--configs", str(configs)): "corruptions.jpeg: 2 levels; needs one for each of 5",
        (*model, "--configs", str(tmp_path)): "_base_/corruptions.py: no such file",
    }
    for answer, message in zip(light_answers(*commands), commands.values(), strict=True):
        assert (answer.returncode, answer.stdout) == (2, "")
        assert message in answer.stderr.splitlines()[-1]


def test_an_existing_record_is_replaced_only_when_asked(run_tool, trained, path):
    call = (TOOL, trained.folder, "--corruptions", "--results", path.parents[3])
    assert "seed0.json: there already; --overwrite replaces it" in run_tool(*call).refusal
