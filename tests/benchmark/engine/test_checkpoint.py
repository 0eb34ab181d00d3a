"""Checkpoints: whole or absent, nothing but tensors, and always one that can be read."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmark.engine.checkpoint import (
    Checkpoint,
    checkpoint_paths,
    newest_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from benchmark.errors import InputError


def checkpoint(epoch: int) -> Checkpoint:
    weight = torch.full((3,), float(epoch))
    return Checkpoint(
        epoch=epoch,
        step=10 * epoch,
        seed=0,
        science_hash="abc",
        seconds=1.5 * epoch,
        model={"weight": weight},
        optimizer={"state": {0: {"exp_avg": weight}}, "param_groups": [{"lr": 0.1}]},
    )


def test_round_trip_and_pruning(tmp_path: Path) -> None:
    """What is read is what was written; only the newest two are kept, in numeric order."""
    for epoch in (8, 9, 10, 11):
        save_checkpoint(tmp_path, checkpoint(epoch), keep=2)
    assert [path.name for path in checkpoint_paths(tmp_path)] == ["epoch_11.pth", "epoch_10.pth"]
    found, problems = newest_checkpoint(tmp_path)
    assert problems == []
    assert (found.epoch, found.step, found.seconds) == (11, 110, 16.5)
    assert torch.equal(found.model["weight"], torch.full((3,), 11.0))
    assert not list(tmp_path.glob("*.tmp"))


def test_one_within_an_epoch_is_newer_than_the_epoch(tmp_path: Path) -> None:
    """And older than the next; its name says how far it is."""
    within = replace(checkpoint(2), step=27, within=True)
    for one in (checkpoint(3), within, checkpoint(2)):
        save_checkpoint(tmp_path, one, keep=3)
    names = [path.name for path in checkpoint_paths(tmp_path)]
    assert names == ["epoch_3.pth", "epoch_2_step_27.pth", "epoch_2.pth"]
    save_checkpoint(tmp_path, checkpoint(3), keep=2)
    assert len(checkpoint_paths(tmp_path)) == 2
    assert read_checkpoint(tmp_path / "epoch_2_step_27.pth").place == "epoch 2, step 27"


def test_a_checkpoint_of_an_older_layout_is_named(tmp_path: Path) -> None:
    """It knew nothing of steps within an epoch, and is not guessed at."""
    path = save_checkpoint(tmp_path, checkpoint(1), keep=1)
    content = torch.load(path, weights_only=True)
    del content["log"], content["within"]
    torch.save({**content, "format": 1}, path)
    with pytest.raises(InputError, match=r"epoch_1\.pth: not a checkpoint of this project"):
        read_checkpoint(path)


def test_truncated_newest_falls_back(tmp_path: Path) -> None:
    """A torn file is named, and the one before is used."""
    save_checkpoint(tmp_path, checkpoint(1), keep=2)
    newest = save_checkpoint(tmp_path, checkpoint(2), keep=2)
    newest.write_bytes(newest.read_bytes()[:200])
    found, problems = newest_checkpoint(tmp_path)
    assert found.epoch == 1
    assert len(problems) == 1
    assert "epoch_2.pth" in problems[0]


def test_no_readable_checkpoint_is_an_error(tmp_path: Path) -> None:
    """Starting over silently would lose the run."""
    (tmp_path / "epoch_3.pth").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"epoch_3\.pth.*no older one"):
        newest_checkpoint(tmp_path)
    assert newest_checkpoint(tmp_path / "empty") == (None, [])


def test_failed_write_keeps_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between writing and renaming leaves the older checkpoint and no debris."""
    save_checkpoint(tmp_path, checkpoint(1), keep=1)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(tmp_path, checkpoint(2), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch_1.pth"]


class Hostile:
    def __reduce__(self) -> tuple:
        return (os.system, ("touch executed",))


def test_hostile_pickle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint never runs code, however it is dressed."""
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "model": Hostile()}, tmp_path / "epoch_1.pth")
    (tmp_path / "epoch_2.pth").write_bytes(pickle.dumps(Hostile()))
    for name in ("epoch_1.pth", "epoch_2.pth"):
        with pytest.raises(InputError, match=name):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_foreign_checkpoint(tmp_path: Path) -> None:
    """Someone else's file is not mistaken for ours."""
    torch.save({"model": {}, "epoch": 3}, tmp_path / "epoch_1.pth")
    with pytest.raises(InputError, match="not a checkpoint of this project"):
        read_checkpoint(tmp_path / "epoch_1.pth")
