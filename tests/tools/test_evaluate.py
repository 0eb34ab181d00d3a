"""The command line of frozen encoders: records per encoder, number of labels and seed."""

from __future__ import annotations

from functools import partial

import pytest

from benchmark.results import read_record

BASE = ("--dataset", "synthetic_v", "--scale", "tiny")


@pytest.fixture
def tool(run_tool):
    return partial(run_tool, "evaluate")


def test_a_record_per_encoder_labels_and_seed(tool, assets, tmp_path):
    encoder = ("--encoder", assets["run"], "--data", assets["task"], "--work", tmp_path)
    quick = ("--cfg-options", "steps=3")
    done = tool("linear", *BASE, *encoder, "--seed", 2, 0, *quick)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum("train.features.npy: features of" in line for line in lines) == 1
    assert [line.partition(": patch_ap")[0] for line in lines if ": patch_ap" in line] == [
        "MAE · synthetic_v-linear · seed 2",
        "MAE · synthetic_v-linear · seed 0",
    ]
    results = tmp_path / "results" / "demo" / "run"
    assert {read_record(results / "synthetic_v-linear" / f"seed{k}.json").seed for k in (0, 2)}
    done = tool("knn", *BASE, *encoder, "--label-count", 2, 1)
    assert done.returncode == 0, done.stderr
    assert "features of" not in done.stdout, "shared by the protocols"
    names = {path.name for path in results.iterdir()}
    assert names == {"synthetic_v-linear", "synthetic_v-1images-knn", "synthetic_v-2images-knn"}
    record = read_record(results / "synthetic_v-2images-knn" / "seed0.json")
    assert record.config["label_count"] == 2
    assert record.seeds == {"sampling": 0, "labels": 0}
    done = tool("linear", *BASE, *encoder, "--label-fraction", 0.5, *quick)
    assert done.returncode == 0, done.stderr
    assert (results / "synthetic_v-50pct-linear" / "seed0.json").is_file()
    done = tool("linear", *BASE, *encoder, "--seed", 2, 0, *quick)
    assert done.stdout.count("done already") == 2
    done = tool("linear", *BASE, *encoder, "--seed", 3, 0, "--overwrite", "never", *quick)
    assert "seed0.json: there already" in done.refusal


def test_what_goes_wrong_is_said_before_libraries_are_loaded(light_answers, assets, tmp_path):
    task = ("--data", str(assets["task"]), "--work", str(tmp_path))
    one = ("evaluate.py", "linear", *BASE)
    encoder = (*one, "--encoder", str(assets["run"]), *task)
    cases = [
        ((*one, "--method", "unet", *task), "unet: has no exported encoder"),
        ((*one, "--method", "frangi", *task), "frangi: has no exported encoder"),
        ((*one, "--method", "mae", *task), "make it with tools/train.py configs/mae/pretrain.py"),
        ((*one, "--method", "vaso", *task), "vaso: no such method"),
        ((*one, "--method", "mae", "--work", str(tmp_path)), "make it with tools/prepare_data.py"),
        ((*one, "--encoder", str(tmp_path), *task), "no encoder (encoder.json is missing)"),
        ((*encoder, "--protocol", "conference"), "--protocol conference: no folder"),
        ((*encoder, "--cfg-options", "stps=3"), "did you mean 'steps'?"),
        ((*encoder, "--cfg-options", "steps=0"), "steps=0: must be an integer of 1"),
        ((*encoder, "--cfg-options", "neighbours=5"), "unknown key 'neighbours'"),
        ((*encoder, "--label-count", "100000"), "--label-count 100000 asks for more"),
    ]
    for other in ("synthetic_d", "synthetic_n"):
        words = tuple(other if word == "synthetic_v" else word for word in encoder)
        cases.append((words, f"{other}: a dataset for de"))
    answers = light_answers(*(command for command, _ in cases))
    for (command, message), answer in zip(cases, answers, strict=True):
        assert message in answer.refusal, command


def test_the_config_is_printed_as_one(tool, assets):
    done = tool("linear", *BASE, "--encoder", assets["run"], "--print-config")
    assert done.returncode == 0, done.stderr
    assert "from torch.optim" in done.stdout
    assert "steps = 300" in done.stdout
