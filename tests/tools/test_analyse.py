"""The command line of the analyses: one record per encoder and seed, and a plot."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from benchmark.results import read_record

BASE = ("representations", "--dataset", "synthetic_v", "--scale", "tiny")
QUICK = ("--cfg-options", "tsne.iterations=250", "patches=60", "tsne.perplexity=5")
QUICK = (*QUICK, "probe.folds=2")


@pytest.fixture
def tool(run_tool):
    return partial(run_tool, "analyse")


def test_a_record_per_encoder_and_seed_and_a_panel_per_encoder(tool, assets, tmp_path):
    encoder = ("--encoder", assets["run"], "--data", assets["task"], "--work", tmp_path)
    plot = tmp_path / "patches.svg"
    done = tool(*BASE, *encoder, "--seed", 2, 0, "--plot", plot, *QUICK)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(": silhouette")[0] for line in lines[:2]] == [
        "MAE · synthetic_v-patches · seed 2",
        "MAE · synthetic_v-patches · seed 0",
    ]
    assert lines[2] == f"{plot}: projected patches of 1 encoder"
    folder = tmp_path / "results" / "demo" / "run" / "synthetic_v-patches"
    records = {seed: read_record(folder / f"seed{seed}.json") for seed in (0, 2)}
    assert {seed: record.seed for seed, record in records.items()} == {0: 0, 2: 2}
    assert records[0].metrics != records[2].metrics, "other patches are sampled"
    # The same again draws the same figure from what is kept; another split is another data set.
    first = plot.read_bytes()
    plot.unlink()
    done = tool(*BASE, *encoder, "--seed", 2, 0, "--plot", plot, *QUICK)
    assert done.stdout.count("done already") == 2
    assert plot.read_bytes() == first
    done = tool(*BASE, *encoder, "--overwrite", "never", *QUICK)
    assert "seed0.json: there already" in done.refusal
    done = tool(*BASE, *encoder, "--split", "test", "--results", tmp_path / "board", *QUICK)
    assert "the probe needs patches of two patients" in done.refusal
    assert not (tmp_path / "board").exists()


def test_what_goes_wrong_is_said_before_libraries_are_loaded(light_answers, assets, tmp_path):
    task = ("--data", str(assets["task"]), "--work", str(tmp_path))
    one = ("analyse.py", *BASE)
    encoder = (*one, "--encoder", str(assets["run"]))
    cases = [
        ((*one, "--method", "unet", *task), "unet: has no exported encoder"),
        ((*one, "--method", "frangi", *task), "frangi: has no exported encoder"),
        ((*one, "--method", "mae", *task), "make it with tools/train.py configs/mae/pretrain.py"),
        ((*one, "--method", "vaso", *task), "vaso: no such method"),
        ((*one, "--method", "mae", "--work", str(tmp_path)), "make it with tools/prepare_data.py"),
        ((*one, "--encoder", str(tmp_path), *task), "no encoder (encoder.json is missing); name a"),
        ((*encoder, *task, "--plot", "x.jpg"), "x.jpg: a figure must end in one of"),
        ((*encoder, *task, "--projection", "umap"), "`pip install umap-learn`"),
        ((*encoder, *task, "--protocol", "aaai"), "`pip install umap-learn`"),
        ((*encoder, *task, "--protocol", "conference"), "--protocol conference: no folder"),
        ((*encoder, *task, "--cfg-options", "patchs=3"), "did you mean 'patches'?"),
        ((*encoder, *task, "--cfg-options", "patches=0"), "patches=0: must be an integer of 1"),
    ]
    detection = tuple("synthetic_d" if word == "synthetic_v" else word for word in encoder)
    cases.append(((*detection, *task), "synthetic_d: a dataset for detection"))
    answers = light_answers(*(command for command, _ in cases))
    for (command, message), answer in zip(cases, answers, strict=True):
        assert message in answer.refusal, command


def test_a_task_of_another_kind_or_dataset_is_refused(tool, assets, tmp_path):
    from benchmark.data.sources import open_source
    from benchmark.data.tasks import write_task_folder

    source = open_source("synthetic", size=64, patients=2, videos=1, frames=3, first_frame=2)
    boxes = write_task_folder(source, tmp_path / "boxes", "detection", progress=False)
    encoder = ("--encoder", assets["run"], "--work", tmp_path, *QUICK)
    done = tool(*BASE, "--data", boxes.path, *encoder)
    assert "a detection task, but segmentation is needed" in done.refusal
    masks = write_task_folder(source, tmp_path / "m", "segmentation", "xcav", progress=False)
    done = tool(*BASE, "--data", masks.path, *encoder)
    assert "prepared as xcav" in done.refusal
    assert not Path(tmp_path / "results").exists()
