"""The cost of the harness: both loops take the same steps, and the rows say so."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from types import SimpleNamespace

import mmengine
import pytest
import torch

from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.quiet import quiet_libraries
from benchmark.speed.mmpretrain import bench_against_mmpretrain, reference_config, reference_runner
from benchmark.speed.setup import StepTiming, make_frames
from benchmark.speed.step import bench_step, equal_weights
from benchmark.speed.timing import COLUMNS
from benchmark.training.train import assemble

SIZES = dict(configs=CONFIGS, scale="tiny", batch=2, frames=4, size=64, steps=2, threads=1)


def test_harness_and_bare_loop_take_the_same_steps(tmp_path: Path) -> None:
    """After five steps every weight of both is equal to the last bit."""
    rows = bench_step("mae", StepTiming(**SIZES, repeats=2, out=tmp_path))
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("step-mae-tiny-cpu-1core-torch")
    with file.open(newline="", encoding="utf-8") as stream:
        assert list(csv.DictReader(stream)) == rows
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["agreement_min"] == "1.000000"
    assert rows[1]["agreement_min"] == ""
    assert all("batch 2, frames 64x64, 1 thread(s), 0 loader" in row["what"] for row in rows)


def test_agreement_counts_equal_weights() -> None:
    one, two = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    two.load_state_dict(one.state_dict())
    assert equal_weights(one, two).tolist() == [1, 1]
    with torch.no_grad():
        two.weight[0, 0] += 1
    assert equal_weights(one, two).tolist() == [0.75, 1]


def test_mmpretrain_trains_a_model_of_the_same_size(tmp_path: Path) -> None:
    """Equal numbers of trained parameters, batch, crop and optimiser; its own recipe otherwise."""
    trial = StepTiming(**SIZES, repeats=1)
    images = make_frames(tmp_path, 4, 64)
    ours = trial.config("mae", tmp_path, images / "pack")
    config = reference_config(ours, images / "frames", tmp_path / "log")
    with quiet_libraries():
        runner = reference_runner(ours, images / "frames", tmp_path / "log2")
    counts = [
        sum(p.numel() for p in model.parameters() if p.requires_grad)
        for model in (assemble(ours).method, runner.model)
    ]
    assert counts[0] == counts[1]
    steps = {step["type"]: step for step in config.train_dataloader.dataset.pipeline}
    crop = steps["RandomResizedCrop"]
    assert (crop.scale, crop.crop_ratio_range, crop.backend) == (96, (0.2, 1.0), "pillow")
    assert config.train_dataloader.batch_size == 2
    assert config.optim_wrapper.optimizer.betas == ours.optimizer.betas
    assert config.optim_wrapper.type == "OptimWrapper"  # its mixed precision needs a GPU


def test_against_mmpretrain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also right after another run of the same name, which mmengine tells apart by the second."""
    clock = SimpleNamespace(strftime=lambda *_: "now", time=time.time, localtime=time.localtime)
    monkeypatch.setattr(mmengine.runner.runner, "time", clock)
    trial = StepTiming(**SIZES, repeats=1)
    images = make_frames(tmp_path, 4, 64)
    ours = trial.config("mae", tmp_path, images / "pack")
    with quiet_libraries():
        reference_runner(ours, images / "frames", tmp_path / "log")
    (row,) = bench_against_mmpretrain(StepTiming(**SIZES, repeats=1, out=tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").is_file()
    assert row["reference"].startswith("mmpretrain ")
    ratio = float(row["ours_per_s"]) / float(row["reference_per_s"])
    assert float(row["ratio"]) == pytest.approx(ratio, abs=0.02)


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="--steps 0: expected 1 or more"):
        StepTiming(**{**SIZES, "steps": 0}, repeats=1)
    with pytest.raises(InputError, match="resident=yes: must be True or False or 'auto'"):
        bench_step("mae", StepTiming(**SIZES, repeats=1, options=["resident=yes"]))
