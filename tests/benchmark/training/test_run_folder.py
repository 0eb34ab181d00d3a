"""A run folder is used by one process, and nothing of anybody else's is removed from it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from benchmark.errors import InputError
from benchmark.files.locking import LOCK
from benchmark.training.checkpoints.checkpoint import Checkpoint, save_checkpoint
from benchmark.training.run import clear_run, holds_run, read_description

EXPORTS = ("encoder",)


def checkpoint(folder: Path) -> Path:
    weights = {"w": torch.zeros(3)}
    identity = {"seed": 0, "config_hash": "hash"}
    state = {"state": {}, "param_groups": []}
    values = dict(epoch=1, step=4, identity=identity, seconds=1.0, model=weights, optimizer=state)
    return save_checkpoint(folder, Checkpoint(**values), keep=2)


def left(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


@pytest.mark.parametrize(
    "name",
    [
        *("thesis.txt", "epoch_best.pth", "encoder.pth", "sub/epoch_1.pth"),
        # Names that a run writes, too, but never without its description.
        *("metrics.jsonl", "run.json", "nonfinite/step_5.json"),
    ],
)
def test_a_folder_of_others_is_refused(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    first = name.partition("/")[0]
    with pytest.raises(InputError, match=rf"no run of this project has written \(first: {first}\)"):
        holds_run(tmp_path, EXPORTS)
    assert left(tmp_path) == [name]


def test_checkpoints_of_another_trainer_are_no_run(tmp_path):
    """mmengine names its own in the same way."""
    torch.save({"state_dict": {}, "meta": {}}, tmp_path / "epoch_1.pth")
    with pytest.raises(InputError, match=r"first: epoch_1\.pth"):
        holds_run(tmp_path, EXPORTS)


def test_another_run_json_is_no_run(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"name": "somebody's"}))
    checkpoint(tmp_path)
    with pytest.raises(InputError, match=r"run\.json: not written by a run of this project"):
        holds_run(tmp_path, EXPORTS)


def test_what_a_run_is(tmp_path):
    assert not holds_run(tmp_path / "absent", EXPORTS)
    for name in ("mmengine/20260101_000000/a.log", "run.json.0123abcd-12-0.tmp", LOCK):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert not holds_run(tmp_path, EXPORTS), "a kill before the description leaves these"
    (tmp_path / "encoder.safetensors").touch()
    assert holds_run(tmp_path, EXPORTS)
    with pytest.raises(InputError, match="first: encoder"):
        holds_run(tmp_path)
    (tmp_path / "encoder.safetensors").unlink()
    path = checkpoint(tmp_path)
    assert holds_run(tmp_path, EXPORTS), "without run.json"
    (tmp_path / "run.json").write_bytes(b"{\0")
    assert read_description(tmp_path) is None
    assert holds_run(tmp_path, EXPORTS), "damaged, but its checkpoint is ours"
    path.unlink()
    (tmp_path / "run.json").write_text(json.dumps({"config_hash": "hash"}))
    assert holds_run(tmp_path, EXPORTS)


def test_only_what_a_run_writes_is_removed(tmp_path):
    ours = (
        *("run.json", "metrics.jsonl", "epoch_3.pth", "epoch_3_step_17.pth", "encoder.json"),
        "epoch_2.pth.unusable-1",
        *("encoder.safetensors", "epoch_4.pth.0123abcd-77-0.tmp", "nonfinite/step_5.json"),
        "mmengine/20260101_000000/20260101_000000.log",
    )
    others = (
        "thesis.txt",
        "epoch_3_best.pth",
        "my_encoder.safetensors",
        "epoch_best.pth",
        "nonfinite/notes.txt",
    )
    others += ("a.tmp", "encoder.pth", "plots/loss.png")
    for name in (*ours, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    clear_run(tmp_path, EXPORTS)
    assert left(tmp_path) == sorted(others)
    assert not (tmp_path / "mmengine").exists()


@pytest.mark.parametrize("killed", range(6))
def test_what_a_killed_clearing_leaves_is_a_run_or_free(tmp_path, killed, monkeypatch):
    for name in ("run.json", "metrics.jsonl", "encoder.json", "nonfinite/step_5.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"config_hash": "hash"}))
    checkpoint(tmp_path)
    unlink, count = Path.unlink, iter(range(100))

    def until_killed(path: Path, missing_ok: bool = False) -> None:
        if next(count) == killed:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(Path, "unlink", until_killed)
        clear_run(tmp_path, EXPORTS)
    assert holds_run(tmp_path, EXPORTS) == bool(left(tmp_path)) == (killed < 5)
