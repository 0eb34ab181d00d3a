"""The training command line: what it prints, what it refuses, what it leaves behind."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from benchmark.results import config_hash
from benchmark.training.config import load_config, to_plain
from benchmark.training.config_keys import PRETRAIN_NEEDS
from methods.vasomim import VasoMIM

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def call(run_tool, monkeypatch):
    monkeypatch.chdir(ROOT)
    return partial(run_tool, ROOT / "tools" / "train.py")


def test_print_config_is_resolved(call, tmp_path):
    """Scale, overrides and the work folder are in what is printed, a config with the same hash."""
    done = call(
        *("configs/vasomim/pretrain.py", "--scale", "tiny", "--work", "/w", "--print-config"),
        *("--cfg-options", "epochs=5"),
    )
    assert done.returncode == 0
    (tmp_path / "printed.py").write_text(done.stdout)
    config = load_config(tmp_path / "printed.py", needed=PRETRAIN_NEEDS)
    assert config.epochs == 5
    assert config.method.type is VasoMIM
    assert config.method.encoder.embed_dim == 96
    checkpoint = "/w/segmentor/unext_s/segmentor.safetensors"
    assert config.method.segmentor.checkpoint == checkpoint
    given = load_config(ROOT / "configs/vasomim/pretrain.py", "tiny", ["epochs=5"])
    assert config_hash(to_plain(config)) == config_hash(to_plain(given))


def test_bad_input_is_one_line_and_code_2(call, tmp_path):
    """The pack is missing: one line names it, and no folder appears."""
    pack = tmp_path / "pack"
    done = call(
        *("configs/mae/pretrain.py", "--scale", "tiny", "--packs", str(pack)),
        *("--work", str(tmp_path / "work")),
    )
    assert done.refusal.startswith(f"error: {pack}: no such folder")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ((), "the same command with --resume continues after {newest}"),
        (("--resume",), "the same command with --resume continues after {newest}"),
        # The checkpoint is older than the command: it is that of the run to be replaced.
        (("--overwrite",), "run the same command again"),
        (("--dry-run",), "run the same command again"),
        (("--work-dir", "nowhere"), "run the same command again"),
    ],
)
def test_the_message_after_ctrl_c_tells_what_is_left(call, tmp_path, monkeypatch, options, advice):
    run = tmp_path / "mae" / "pretrain"
    run.mkdir(parents=True)
    for epoch in (2, 10):
        (run / f"epoch_{epoch}.pth").touch()
        os.utime(run / f"epoch_{epoch}.pth", (0, 0))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.training.preview.preview", interrupted)
    done = call("configs/mae/pretrain.py", "--work", str(tmp_path), *options)
    newest = run / "epoch_10.pth"
    assert done.returncode == 130
    assert done.stderr == f"interrupted; {advice.format(newest=newest)}\n"


def test_a_run_that_replaces_another_is_resumed_without_overwrite(call, tmp_path, monkeypatch):
    run = tmp_path / "mae" / "pretrain"
    run.mkdir(parents=True)

    def interrupted(*_: object) -> None:
        (run / "epoch_1.pth").touch()
        os.utime(run / "epoch_1.pth", (2**32, 2**32))
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.training.preview.preview", interrupted)
    done = call("configs/mae/pretrain.py", "--work", str(tmp_path), "--overwrite")
    expected = f"with --resume instead of --overwrite continues after {run / 'epoch_1.pth'}"
    assert done.stderr == f"interrupted; the same command {expected}\n"
