"""Measured steps: both sides take the same ones, and the rows say so."""

from __future__ import annotations

import time
from types import SimpleNamespace

import mmengine
import pytest
import torch
from mmengine.runner import Runner

from benchmark.errors import InputError
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.speed import loops
from benchmark.speed.mmpretrain import bench_against_mmpretrain, reference_config
from benchmark.speed.steps import bench_step, equal_weights
from benchmark.training.train import assemble


def test_harness_and_bare_loop_take_the_same_steps(trial, written, monkeypatch):
    """After six steps every weight of both is equal to the last bit.

    The device is waited for once in each timing: of two rows, two sides each, two repeats and the
    call before them.
    """
    waits: list[None] = []
    monkeypatch.setattr(loops, "synchronise", lambda: waits.append(None))
    rows = bench_step("mae", trial(steps=2, repeats=2))
    assert len(waits) == 2 * 2 * (2 + 1)
    assert written("step-mae-tiny-cpu-1core-torch") == rows
    assert [row["agreement_min"] for row in rows] == ["1.000000", ""]
    assert all("batch 2, frames 64x64, 1 thread(s), 0 loader" in row["what"] for row in rows)
    with pytest.raises(InputError, match="resident=yes: must be True or False or 'auto'"):
        bench_step("mae", trial(options=["resident=yes"]))


def test_agreement_counts_equal_weights():
    one, two = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    two.load_state_dict(one.state_dict())
    with torch.no_grad():
        two.weight[0, 0] += 1
    assert equal_weights(one, two).tolist() == [0.75, 1]


def test_against_mmpretrain(trial, written, tmp_path, monkeypatch):
    """Equal numbers of trained parameters, batch, crop and optimiser; its own recipe otherwise.

    It is measured right after another run of the same name, which mmengine tells apart by the
    second.
    """
    clock = SimpleNamespace(strftime=lambda *_: "now", time=time.time, localtime=time.localtime)
    monkeypatch.setattr(mmengine.runner.runner, "time", clock)
    images = trial().make_frames(tmp_path)
    ours = trial().config("mae", tmp_path, images / "pack")
    config = reference_config(ours, images / "frames", tmp_path / "log")
    steps = {step["type"]: step for step in config.train_dataloader.dataset.pipeline}
    crop = steps["RandomResizedCrop"]
    assert (crop.scale, crop.crop_ratio_range, crop.backend) == (96, (0.2, 1.0), "pillow")
    assert config.train_dataloader.batch_size == 2
    assert config.optim_wrapper.optimizer.betas == ours.optimizer.betas
    assert config.optim_wrapper.type == "OptimWrapper"  # its mixed precision needs a GPU
    with quiet_libraries():
        theirs = Runner.from_cfg(config).model
    counts = [
        sum(p.numel() for p in model.parameters() if p.requires_grad)
        for model in (assemble(ours).method, theirs)
    ]
    assert counts[0] == counts[1]
    rows = bench_against_mmpretrain(trial(steps=1))
    assert written("mae-end-to-end-tiny-") == rows
    assert rows[0]["reference"].startswith("mmpretrain ")
