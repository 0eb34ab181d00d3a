"""Checkpoints: whole or absent, nothing but tensors, and always one that can be read."""

from __future__ import annotations

import os
import pickle
import random
import shutil

import pytest
import torch
from child_runs import seal

from benchmark.errors import InputError
from benchmark.training.checkpoints.checkpoint import (
    Checkpoint,
    checkpoint_paths,
    newest_checkpoint,
    put_aside,
    read_checkpoint,
    save_checkpoint,
)

IDENTITY = {"seed": 0, "config_hash": "abc", "corpus_hash": "def", "weights": {}}


def checkpoint(epoch: int) -> Checkpoint:
    weight = torch.full((3,), float(epoch))
    return Checkpoint(
        epoch=epoch,
        step=10 * epoch,
        identity=IDENTITY,
        seconds=1.5 * epoch,
        model={"weight": weight},
        optimizer={"state": {0: {"exp_avg": weight}}, "param_groups": [{"lr": 0.1}]},
    )


def test_round_trip_and_pruning(tmp_path):
    """What is read is what was written; only the newest two are kept, in numeric order."""
    for epoch in (8, 9, 10, 11):
        save_checkpoint(tmp_path, checkpoint(epoch), keep=2)
    assert [path.name for path in checkpoint_paths(tmp_path)] == ["epoch_11.pth", "epoch_10.pth"]
    found, problems = newest_checkpoint(tmp_path)
    assert problems == {}
    assert (found.epoch, found.step, found.seconds) == (11, 110, 16.5)
    assert torch.equal(found.model["weight"], torch.full((3,), 11.0))
    assert not list(tmp_path.glob("*.tmp"))


def test_one_within_an_epoch_is_newer_than_the_epoch(tmp_path):
    """And older than the next; its name says how far it is."""
    within = checkpoint(2).model_copy(update={"step": 27, "within": True})
    for one in (checkpoint(3), within, checkpoint(2)):
        save_checkpoint(tmp_path, one, keep=3)
    names = [path.name for path in checkpoint_paths(tmp_path)]
    assert names == ["epoch_3.pth", "epoch_2_step_27.pth", "epoch_2.pth"]
    save_checkpoint(tmp_path, checkpoint(3), keep=2)
    assert len(checkpoint_paths(tmp_path)) == 2
    assert read_checkpoint(tmp_path / "epoch_2_step_27.pth").place == "epoch 2, step 27"


def test_no_damaged_byte_is_missed(tmp_path):
    """Anywhere: in tensors, in names, in the padding between them, in the archive's directory."""
    path = save_checkpoint(tmp_path, checkpoint(1), keep=1)
    content = path.read_bytes()
    draw = random.Random(5)
    places = {*draw.sample(range(len(content)), 60), 0, len(content) - 73, len(content) - 1}
    # Torch itself reads a flipped bit of a tensor as another number, as it always did.
    inside = content.index(torch.full((3,), 1.0).numpy().tobytes())
    for place in places | {inside, inside + 3}:
        damaged = bytearray(content)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"epoch_1\.pth: damaged"):
            read_checkpoint(path)
    for other in (content[:-1], content + b"\n", content[:50], content[-72:], b""):
        path.write_bytes(other)
        with pytest.raises(InputError, match=r"epoch_1\.pth: damaged"):
            read_checkpoint(path)
    path.write_bytes(content)
    assert read_checkpoint(path).identity == IDENTITY


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch", -1),
        ("epoch", True),
        ("epoch", 1.0),
        ("step", "10"),
        ("identity", {"seed": 0}),
        ("identity", {"seed": "0", "config_hash": "abc"}),
        ("seconds", float("nan")),
        ("seconds", -1.0),
        ("model", {"weight": [1.0]}),
        ("model", {3: torch.zeros(1)}),
        ("optimizer", {}),
        ("optimizer", {"state": {"a": {}}, "param_groups": []}),
        ("optimizer", {"state": {}, "param_groups": [{}]}),
        ("log", {}),
        ("log", {"steps": [{"loss": "1"}], "skipped": 0, "in_a_row": 0}),
        ("log", {"steps": [], "skipped": -1, "in_a_row": 0}),
        ("within", 1),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(name, value, tmp_path):
    """Also where the digest fits: a version that is at fault writes a good one."""
    with pytest.raises(InputError, match=rf"\.pth: key '{name}"):
        save_checkpoint(tmp_path, checkpoint(1).model_copy(update={name: value}), keep=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1, "config_hash": "xyz"}, "seed 1 instead of 0"),
        ({"config_hash": "xyz"}, "its config_hash differs"),
        ({"corpus_hash": "xyz"}, "its corpus_hash differs"),
        ({"weights": {"load_from": "xyz"}}, "its weights differs"),
    ],
)
def test_a_checkpoint_of_another_run_falls_back(change, said, tmp_path):
    """As one that was copied into the wrong folder; alone in it, it is an error."""
    save_checkpoint(tmp_path, checkpoint(1), keep=2)
    foreign = checkpoint(2).model_copy(update={"identity": {**IDENTITY, **change}})
    path = save_checkpoint(tmp_path, foreign, keep=2)
    found, problems = newest_checkpoint(tmp_path, IDENTITY)
    assert found.epoch == 1
    assert problems == {path: f"{path}: of another run ({said})"}
    assert newest_checkpoint(tmp_path)[0].epoch == 2
    (tmp_path / "epoch_1.pth").unlink()
    with pytest.raises(InputError, match=r"epoch_2\.pth: of another run .*no older one"):
        newest_checkpoint(tmp_path, IDENTITY)


def test_a_renamed_checkpoint_falls_back(tmp_path):
    """Its name would say that more steps are done than are."""
    save_checkpoint(tmp_path, checkpoint(1), keep=2)
    shutil.copy(tmp_path / "epoch_1.pth", tmp_path / "epoch_7.pth")
    found, problems = newest_checkpoint(tmp_path)
    assert found.epoch == 1
    assert "epoch_7.pth: holds the checkpoint epoch_1.pth" in problems[tmp_path / "epoch_7.pth"]


def test_what_cannot_be_used_is_kept_under_another_name(tmp_path):
    """It neither counts as one of the newest that are kept, nor is it deleted."""
    for content in (b"one", b"two"):
        path = tmp_path / "epoch_9.pth"
        path.write_bytes(content)
        (line,) = put_aside({path: f"{path}: damaged"})
    assert line == f"warning: {path}: damaged; kept as epoch_9.pth.unusable-2; using the one before"
    save_checkpoint(tmp_path, checkpoint(1), keep=1)
    kept = {path.name: path.read_bytes() for path in tmp_path.glob("*.unusable-*")}
    assert kept == {"epoch_9.pth.unusable-1": b"one", "epoch_9.pth.unusable-2": b"two"}
    assert [path.name for path in checkpoint_paths(tmp_path)] == ["epoch_1.pth"]


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A named pipe would be read for ever."""
    os.mkfifo(tmp_path / "epoch_2.pth")
    save_checkpoint(tmp_path, checkpoint(1), keep=2)
    found, problems = newest_checkpoint(tmp_path)
    assert found.epoch == 1
    assert "epoch_2.pth: not a file" in problems[tmp_path / "epoch_2.pth"]


def test_no_readable_checkpoint_is_an_error(tmp_path):
    """Starting over silently would lose the run."""
    (tmp_path / "epoch_3.pth").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"epoch_3\.pth.*no older one"):
        newest_checkpoint(tmp_path)
    assert newest_checkpoint(tmp_path / "empty") == (None, {})


def test_failed_write_keeps_the_old_one(tmp_path, monkeypatch):
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


def test_hostile_pickle_is_refused(tmp_path, monkeypatch):
    """A checkpoint never runs code, however it is dressed."""
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "model": Hostile()}, tmp_path / "epoch_1.pth")
    (tmp_path / "epoch_2.pth").write_bytes(pickle.dumps(Hostile()))
    seal(tmp_path / "epoch_3.pth", {"format": 1, "model": Hostile()})
    for name in ("epoch_1.pth", "epoch_2.pth", "epoch_3.pth"):
        with pytest.raises(InputError, match=name):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "content",
    [
        {"model": {}, "epoch": 3},
        {**vars(checkpoint(1)), "format": 2},
        {"format": 1, **vars(checkpoint(1))},  # without a digest only
    ],
)
def test_foreign_checkpoint(tmp_path, content):
    """Neither someone else's file nor one of another format is mistaken for ours."""
    path = tmp_path / "epoch_1.pth"
    torch.save(content, path)
    with pytest.raises(InputError, match=r"epoch_1\.pth: damaged, or not a checkpoint of this"):
        read_checkpoint(path)
    seal(path, content)
    if content.get("format") == 1:
        assert read_checkpoint(path).epoch == 1
        return
    with pytest.raises(InputError, match=r"epoch_1\.pth: not a checkpoint of this project"):
        read_checkpoint(path)
