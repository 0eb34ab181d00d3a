"""The measurement of fine-tuning: both sides train one model on the same frames."""

from __future__ import annotations

import pytest

from benchmark.speed.finetuning import bench_finetune, prepare
from benchmark.speed.steps import StepTiming


@pytest.mark.slow
def test_same_model_and_frames(trial, written, monkeypatch):
    """Both models have the same parameters, and both loaders draw from the same frames."""
    sides = []
    compare = StepTiming.compare

    def keep(self: StepTiming, what: str, reference: str, config: object, both: tuple) -> object:
        sides.extend(side.runner for side in both)
        return compare(self, what, reference, config, both)

    monkeypatch.setattr(StepTiming, "compare", keep)
    rows = bench_finetune("mae", trial(options=["train_pipeline.2.scale=(64,64)"]))
    ours, theirs = sides
    states = [dict(side.model.named_parameters()) for side in sides]
    assert {n: p.shape for n, p in states[0].items()} == {n: p.shape for n, p in states[1].items()}
    assert len(ours.train_dataloader.dataset) == len(theirs.train_dataloader.dataset) == 4
    assert type(theirs).__module__ == "mmengine.runner.runner"
    assert rows[0]["what"].startswith("fine-tuning mae, --scale tiny, batch 2")
    assert written("finetune-mae-tiny-train-pipeline-2-scale-64-64-cpu-1core") == rows


def test_frames_to_train_on(trial, tmp_path):
    folder = prepare(tmp_path, "mae", trial())
    assert (tmp_path / "mae" / "pretrain" / "encoder.safetensors").is_file()
    assert folder.path == tmp_path / "downstream" / "synthetic_v"
