"""The measurement of fine-tuning: both sides train one model on the same frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.method_cards import CONFIGS
from benchmark.speed import finetuning
from benchmark.speed.finetuning import bench_finetune
from benchmark.speed.setup import StepTiming

SIZES = dict(configs=CONFIGS, scale="tiny", batch=2, frames=4, size=64, steps=1, threads=1)


@pytest.mark.slow
def test_same_model_and_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both models have the same parameters, and both loaders draw from the same frames."""
    sides = []
    compare = StepTiming.compare

    def keep(self: StepTiming, what: str, reference: str, config: object, both: tuple) -> object:
        sides.extend(side.runner for side in both)
        return compare(self, what, reference, config, both)

    monkeypatch.setattr(StepTiming, "compare", keep)
    sizes = ["train_pipeline.2.scale=(64,64)"]
    (row,) = bench_finetune("mae", StepTiming(**SIZES, repeats=1, out=tmp_path, options=sizes))
    ours, theirs = sides
    states = [dict(side.model.named_parameters()) for side in sides]
    assert {n: p.shape for n, p in states[0].items()} == {n: p.shape for n, p in states[1].items()}
    assert len(ours.train_dataloader.dataset) == len(theirs.train_dataloader.dataset) == 4
    assert type(theirs).__module__ == "mmengine.runner.runner"
    assert row["what"].startswith("fine-tuning mae, --scale tiny, batch 2")
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("finetune-mae-tiny-train-pipeline-2-scale-64-64-cpu-1core")


def test_frames_to_train_on(tmp_path: Path) -> None:
    folder = finetuning.prepare(tmp_path, "mae", StepTiming(**SIZES, repeats=1))
    assert (tmp_path / "mae" / "pretrain" / "encoder.safetensors").is_file()
    assert folder.path == tmp_path / "downstream" / "synthetic_v"
