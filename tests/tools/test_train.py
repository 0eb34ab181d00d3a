"""The training command line: what it prints, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def call(run_tool, monkeypatch):
    monkeypatch.chdir(ROOT)
    return partial(run_tool, ROOT / "tools" / "train.py")


def test_print_config_is_resolved(call):
    """Scale, overrides and the work folder are in what is printed, as JSON."""
    done = call(
        *("configs/vasomim/pretrain.py", "--scale", "tiny", "--work", "/w", "--print-config"),
        *("--cfg-options", "epochs=5"),
    )
    assert done.returncode == 0
    config = json.loads(done.stdout)
    assert config["epochs"] == 5
    assert config["method"]["type"] == "methods.vasomim.VasoMIM"
    assert config["method"]["encoder"]["embed_dim"] == 96
    checkpoint = "/w/segmentor/unext_s/segmentor.safetensors"
    assert config["method"]["segmentor"]["checkpoint"] == checkpoint


def test_bad_input_is_one_line_and_code_2(call, tmp_path):
    """The pack is missing: one line names it, and no folder appears."""
    pack = tmp_path / "pack"
    done = call(
        *("configs/mae/pretrain.py", "--scale", "tiny", "--packs", str(pack)),
        *("--work", str(tmp_path / "work")),
    )
    assert done.refusal.startswith(f"error: {pack}: no such folder")
    assert not (tmp_path / "work").exists()
