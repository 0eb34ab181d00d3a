"""The command line of the measurements: every part exists, and its options reach it."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))
bench = importlib.import_module("bench")


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[str, dict[str, object]]:
    """Name and arguments of the function that a command line calls."""
    calls = []

    class Library:
        def __init__(self, where: str) -> None:
            self.where = where

        def __getattr__(self, name: str):
            return lambda **options: calls.append((f"{self.where}:{name}", options))

    monkeypatch.setattr(sys, "argv", ["bench.py", *arguments])
    monkeypatch.setattr(bench, "importlib", SimpleNamespace(import_module=Library))
    bench.main()
    (found,) = calls
    return found


COMMANDS = [
    ["anatomy", "--threads", "2", "--device", "cpu"],
    ["segmentor", "--view", "96"],
    ["pack", "--frames", "3", "--images", "folder"],
    ["loader", "--view", "96"],
    ["views", "--batch", "8"],
    ["step", "--method", "vasomim", "--cfg-options", "resident=False"],
    ["pretrain", "mae", "crossmae", "--mae-options", "epochs=3"],
    ["pretrain", "--reference", "mmpretrain", "--steps", "9"],
    ["probe", "mae", "dino", "--frames", "8"],
    ["finetune", "--scale", "tiny"],
    ["leaderboard", "--methods", "4"],
    ["resume", "--repeats", "2"],
    ["scaling", "--gpus", "1", "16", "--frames", "1000", "--epochs", "3", "--tflops", "50.5"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_options_are_arguments(arguments, monkeypatch):
    """What the command line passes on is what the function takes."""
    with monkeypatch.context() as patch:
        where, options = call(patch, *arguments, "--out", "a.csv")
    module, name = where.split(":")
    inspect.signature(getattr(importlib.import_module(module), name)).bind(**options)
    out = options["trial"].out if "trial" in options else options["out"]
    assert out == "a.csv"


def test_every_part_is_called():
    assert {arguments[0] for arguments in COMMANDS} == set(bench.PARTS)


def test_trial_has_what_was_asked_for(monkeypatch):
    arguments = "--scale tiny --batch 3 --frames 6 --size 64 --steps 4 --repeats 2 --threads 1"
    with monkeypatch.context() as patch:
        _, options = call(patch, "step", *arguments.split(), "--cfg-options", "seed=7")
    trial = options.pop("trial")
    assert options == {"method": "mae"}
    assert (trial.scale, trial.batch, trial.frames, trial.size) == ("tiny", 3, 6, 64)
    assert (trial.steps, trial.repeats, trial.threads, trial.options) == (4, 2, 1, ["seed=7"])
    assert trial.configs == ROOT / "configs"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("views --batch 0", "--batch: '0' is not an integer of 1 or more"),
        ("anatomy --threads 0", "--threads: '0' is not an integer of 1 or more"),
        ("step --threads -1", "--threads: '-1' is not an integer of 0 or more"),
        ("leaderboard --seeds 1", "--seeds: '1' is not an integer of 2 or more"),
    ],
)
def test_senseless_numbers_are_refused(arguments, message, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        call(monkeypatch, *arguments.split())
    assert message in capsys.readouterr().err
