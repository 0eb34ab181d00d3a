"""How long a run took, and how long it kept which devices busy, over all of its executions."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from benchmark.training import run as module
from benchmark.training.checkpoints.checkpoint import (
    Checkpoint,
    newest_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from benchmark.training.run import Run

IDENTITY = {"seed": 0, "config_hash": "c"}
STATE = {"model": {}, "optimizer": {"state": {}, "param_groups": []}}


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Run on so many processes for so many seconds, after the newest checkpoint if there is one."""

    def execute(processes: int, seconds: float, device: str) -> Run:
        monkeypatch.setattr(module, "get_world_size", lambda: processes)
        monkeypatch.setattr(module, "device_name", lambda: device)
        monkeypatch.setattr(module.time, "time", lambda: 1000.0 + seconds)
        run = Run(tmp_path, "run", Config(), IDENTITY, begun=1000.0)
        run.checkpoint, _ = newest_checkpoint(tmp_path)
        return run

    return execute


def save(run: Run, folder: Path, epoch: int) -> None:
    spent = {"seconds": run.seconds, "device_seconds": run.device_seconds}
    save_checkpoint(
        folder, Checkpoint(epoch=epoch, step=epoch, identity=IDENTITY, **spent, **STATE), keep=9
    )


def test_device_seconds_add_up_over_devices_and_processes(execute, tmp_path):
    """Two hours on one GPU, half an hour on eight of another kind, one hour on two of the first."""
    save(execute(1, 7200, "A100"), tmp_path, 1)
    save(execute(8, 1800, "H200"), tmp_path, 2)
    last = execute(2, 3600, "A100")
    assert last.seconds == 7200 + 1800 + 3600
    assert last.device_seconds == {"A100": 7200 + 2 * 3600, "H200": 8 * 1800}


def test_what_an_earlier_checkpoint_does_not_say_is_not_known(execute, tmp_path):
    """It knows the seconds of the run, but not on how many devices."""
    old = Checkpoint(epoch=1, step=1, identity=IDENTITY, seconds=60.0, **STATE)
    del old.__dict__["device_seconds"]  # as files of earlier versions lack it
    path = save_checkpoint(tmp_path, old, keep=9)
    assert read_checkpoint(path).device_seconds is None
    run = execute(4, 30, "H200")
    assert run.seconds == 90
    assert run.device_seconds is None
