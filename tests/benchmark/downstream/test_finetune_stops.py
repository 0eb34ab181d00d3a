"""Fine-tuning that is asked to stop, and steps of it that are not finite."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from child_runs import read_log

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.finetune import run_cell
from benchmark.results import read_record
from benchmark.training import accumulation
from benchmark.training.accumulation import AccumulatingOptimWrapper
from benchmark.training.checkpoints.checkpoint import checkpoint_paths, read_checkpoint
from benchmark.training.distributed.signals import Stopped
from benchmark.training.hooks import StopTestHook

SETTINGS = ("epochs=2", "batch_size=1", "checkpoint_interval=1", "log_interval=3", "num_workers=0")
SETTINGS += ("keep_checkpoints=1",)


@pytest.fixture
def cell(
    vessels: TaskFolder,
    tmp_path: Path,
    export_vit: Callable[..., Path],
    compose_cell: Callable[..., BenchmarkCell],
    sizes: tuple[str, ...],
) -> Callable[..., BenchmarkCell]:
    """A cell in a work folder of its own: four steps in each of two epochs."""

    def make(name: str, method: str = "mae") -> BenchmarkCell:
        work = tmp_path / name
        if method == "mae" and not work.exists():
            export_vit(work / "mae" / "pretrain", seed=1)
        settings = [f"data.folder={vessels.path}"]
        if method == "mae":
            settings += [*SETTINGS, *sizes]
        return compose_cell(work, method, "synthetic_v", settings)

    return make


def signal_in_test(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = StopTestHook.after_test_iter

    def signalled(hook: StopTestHook, *rest: Any, **named: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        usual(hook, *rest, **named)

    monkeypatch.setattr(StopTestHook, "after_test_iter", signalled)


def test_a_stopped_cell_ends_as_one_that_was_not(cell, before_step, monkeypatch, capsys):
    """Within the second epoch; then, when all is trained, in the test."""
    whole, cut = cell("whole"), cell("cut")
    run_cell(whole)
    with before_step(5, lambda: os.kill(os.getpid(), signal.SIGUSR1)), pytest.raises(Stopped):
        run_cell(cut)
    assert checkpoint_paths(cut.folder)[0].name == "epoch_1_step_5.pth"
    assert "SIGUSR1: saved after step 5 of 8" in capsys.readouterr().out
    with monkeypatch.context() as patch:
        signal_in_test(patch)
        with pytest.raises(Stopped):
            run_cell(cell("cut"))
    assert "SIGTERM: stopped in the test" in capsys.readouterr().out
    assert not cut.record.exists()
    record = run_cell(cell("cut"))
    assert read_log(cut.folder) == read_log(whole.folder)
    one, two = (read_checkpoint(c.folder / "epoch_2.pth").model for c in (whole, cut))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert record.metrics == read_record(whole.record).metrics
    assert record.skipped_steps == 0


def test_a_classical_model_stops_in_its_test(cell, monkeypatch):
    """There is nothing to save; the same command repeats it."""
    with monkeypatch.context() as patch:
        signal_in_test(patch)
        with pytest.raises(Stopped):
            run_cell(cell("classical", "frangi"))
    assert run_cell(cell("classical", "frangi")).skipped_steps is None


def test_skipped_steps_are_in_the_record(cell, monkeypatch):
    """A loss that is infinite at the second and fifth step."""
    usual = AccumulatingOptimWrapper.backward
    calls = 0

    def backward(self: AccumulatingOptimWrapper, loss: torch.Tensor, **settings: Any) -> None:
        nonlocal calls
        calls += 1
        usual(self, loss * torch.inf if calls in (2, 5) else loss, **settings)

    monkeypatch.setattr(accumulation.AccumulatingOptimWrapper, "backward", backward)
    spoilt = cell("spoilt")
    assert run_cell(spoilt).skipped_steps == 2
    files = sorted(path.name for path in (spoilt.folder / "nonfinite").iterdir())
    assert files == ["step_2.json", "step_5.json"]
    found = json.loads((spoilt.folder / "nonfinite" / "step_5.json").read_text())
    assert len(found["indices"]) == 1
    assert found["epoch"] == 1
