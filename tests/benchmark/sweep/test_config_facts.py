"""The configs as they resolve: what a plan takes from them."""

from __future__ import annotations

from benchmark.downstream.compose import compose
from benchmark.files import write_json
from benchmark.method_cards import CONFIGS
from benchmark.results import config_hash
from benchmark.sweep.config_cache import request_for
from benchmark.sweep.config_facts import config_facts
from benchmark.sweep.matrix import Matrix
from benchmark.sweep.plan import SweepSettings, make_plan
from benchmark.training.config import fill_paths, load_config, to_plain


def test_analyses_and_label_shares_are_resolved_like_any_method(tmp_path):
    """Each run once, with the trainings it starts from; packs of its own are kept."""
    matrix = Matrix(
        name="m",
        title="M",
        methods=("vasomim", "analysis-quality_alpha_50", "analysis-schedule_0_1", "random"),
        datasets=("synthetic_v", "synthetic_v-25pct", "synthetic_v-patches"),
        only={"synthetic_v-patches": ("vasomim",)},
        seeds=(0,),
        scale="tiny",
        work=str(tmp_path),
        packs=("{work}/packs/p",),
        data={"synthetic_v": "elsewhere"},
        pretrain_options=("epochs=7",),
        segmentor_options=("batch_size=8",),
    )
    facts = config_facts(request_for(matrix, CONFIGS))
    runs = ("segmentor/unext_s", "vasomim/pretrain", "segmentor/unext_s_alpha_50")
    runs += ("analysis/quality_alpha_50", "analysis/schedule_0_1", "random/pretrain")
    assert list(facts["trainings"]) == [f"{CONFIGS}/{run}.py" for run in runs]
    trainings = dict(zip(runs, facts["trainings"].values()))
    own = [f"{tmp_path}/packs/xa170k_alpha_50"]
    for run, training in trainings.items():
        assert training["folder"] == f"{tmp_path}/{run}"
        expected = own if "alpha_50" in run else [f"{tmp_path}/packs/p"]
        assert training["packs"] == ([] if run == "random/pretrain" else expected), run
        epochs = {"random/pretrain": 0, "segmentor/unext_s": 10, "segmentor/unext_s_alpha_50": 10}
        assert training["epochs"] == epochs.get(run, 7), run
    # Options for pre-trainings would train random weights.
    assert trainings["random/pretrain"]["options"] == []
    assert trainings["analysis/quality_alpha_50"]["weights"] == {
        "method.segmentor.checkpoint": f"{tmp_path}/{runs[2]}/segmentor.safetensors"
    }
    # As training itself hashes it.
    for run, options in {
        "analysis/schedule_0_1": ["epochs=7"],
        "segmentor/unext_s": ["batch_size=8"],
        "random/pretrain": [],
    }.items():
        config = load_config(CONFIGS / f"{run}.py", "tiny", options)
        config.packs = [f"{tmp_path}/packs/p"] if run.startswith("segmentor") else config.packs
        fill_paths(config, tmp_path)
        expected = config_hash(to_plain(config), also_drop=("card",))
        assert trainings[run]["config_hash"] == expected

    cells = facts["cells"]
    assert len(cells) == 9
    assert {cell["data"] for cell in cells.values()} == {"elsewhere"}
    part = cells["analysis-schedule_0_1/synthetic_v-25pct"]
    whole = cells["analysis-schedule_0_1/synthetic_v"]
    assert part["encoder"] == whole["encoder"] == f"{tmp_path}/analysis/schedule_0_1"
    assert part["hashes"] != whole["hashes"]
    assert {**part, "hashes": 0} == {**whole, "hashes": 0}
    patches = cells["vasomim/synthetic_v-patches"]
    assert (patches["task"], patches["protocol"], patches["epochs"]) == (
        "representation",
        "demo",
        1,
    )
    assert patches["encoder"] == cells["vasomim/synthetic_v"]["encoder"]


def test_another_split_is_another_analysis(tmp_path):
    names = ("synthetic_v-patches", "synthetic_v-patches-test")
    request = {
        **{"configs": str(CONFIGS), "work": str(tmp_path), "scale": "tiny", "protocol": None},
        **{"seeds": [0, 1], "packs": None, "data": {}},
        **{"pretrain_options": [], "segmentor_options": []},
        "finetune_options": ["epochs=3"],
        "cells": [["mae", name] for name in (*names, "synthetic_v-patches-dev")],
    }
    cells = config_facts(request)["cells"]
    hashes = [cells[f"mae/{name}"]["hashes"][seed] for name in names for seed in "01"]
    assert len(set(hashes)) == 4
    assert "split" in cells["mae/synthetic_v-patches-dev"]["error"]


def test_a_number_of_labels_has_the_hash_of_the_run_with_its_option(tmp_path):
    request = {
        **{"configs": str(CONFIGS), "work": str(tmp_path), "scale": "tiny", "protocol": None},
        **{"seeds": [0], "packs": None, "data": {}},
        **{"pretrain_options": [], "segmentor_options": []},
        "finetune_options": [],
        "cells": [["unet", name] for name in ("dca1", "dca1-5images", "dca1-2images")],
    }
    hashes = {name: cell["hashes"]["0"] for name, cell in config_facts(request)["cells"].items()}
    assert len(set(hashes.values())) == 3
    for name, options in (("dca1", []), ("dca1-5images", ["label_count=5"])):
        config, _ = compose(CONFIGS, "unet", "dca1", "tiny", options, tmp_path)
        config.seed = 0
        assert hashes[f"unet/{name}"] == config_hash(to_plain(config))


def test_low_rank_adaptation_has_a_config_of_its_own(tmp_path):
    """Its settings change its hash alone; what has no encoder has no such cell."""
    request = {
        **{"configs": str(CONFIGS), "work": str(tmp_path), "scale": "tiny", "protocol": None},
        **{"seeds": [0], "packs": None, "data": {}},
        **{"pretrain_options": [], "segmentor_options": []},
        "cells": [["mae", "synthetic_v"], ["mae", "synthetic_v-lora"], ["unet", "dca1-lora"]],
    }
    first, second = (
        config_facts({**request, "finetune_options": options})["cells"]
        for options in (["epochs=3"], ["epochs=3", "lora.rank=4"])
    )
    names = ("mae/synthetic_v", "mae/synthetic_v-lora")
    assert [first[name]["hashes"] == second[name]["hashes"] for name in names] == [True, False]
    assert first[names[0]]["hashes"] != first[names[1]]["hashes"]
    # As the tool itself hashes it.
    config, _ = compose(CONFIGS, "mae", "synthetic_v", "tiny", ["epochs=3"], tmp_path, lora=True)
    config.seed = 0
    assert first[names[1]]["hashes"]["0"] == config_hash(to_plain(config))
    assert first["unet/dca1-lora"]["error"].startswith("unet: has no exported encoder that --lora")


def test_a_plan_of_frozen_and_adapted_encoders(tmp_path):
    """Initial weights need no packs, k-NN one seed, and LoRA an encoder that is not convolutional.

    The card of a released encoder says it only once it is there.
    """
    write_json(tmp_path / "released" / "lvm_med" / "encoder.json", {"strides": [4, 8]})
    matrix = Matrix(
        name="m",
        title="M",
        methods=("random", "mae", "spt", "lvm_med"),
        datasets=("synthetic_v-knn", "synthetic_v-5images-knn", "synthetic_v-lora"),
        seeds=(3, 4),
        scale="tiny",
        work=str(tmp_path),
        packs=("{work}/packs/p",),
    )
    plan = make_plan(matrix, config_facts, SweepSettings())
    problems = {job.method: job.problem for job in plan.jobs if job.stage == "pretrain"}
    assert problems["random"] == ""
    assert f"{tmp_path}/packs/p: no such folder" in problems["mae"]
    (training,) = [job for job in plan.jobs if job.id == "train-random-pretrain"]
    assert (training.frames, training.corpus_hash, training.epochs) == (0, None, 0)
    assert "--packs" not in training.command
    seeds = [(cell.dataset, cell.seed) for cell in plan.jobs if cell.id.startswith("evaluate")]
    assert set(seeds) == {
        *(("synthetic_v-knn", 3), ("synthetic_v-5images-knn", 3), ("synthetic_v-5images-knn", 4))
    }
    adapted = {
        cell.method: cell.problem
        for cell in plan.jobs
        if cell.id.endswith("synthetic_v-lora-seed3")
    }
    assert "convolutional" not in adapted["mae"] + adapted["random"]
    assert adapted["spt"].startswith("spt: its encoder is convolutional, without linear layers")
    assert "without linear layers that --lora could adapt" in adapted["lvm_med"]
