"""The training command line: what it prints, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "train.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_print_config_is_resolved() -> None:
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


def test_bad_input_is_one_line_and_code_2(tmp_path: Path) -> None:
    """The pack is missing: one line names it, and no folder appears."""
    pack = tmp_path / "pack"
    done = call(
        *("configs/mae/pretrain.py", "--scale", "tiny", "--packs", str(pack)),
        *("--work", str(tmp_path / "work")),
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {pack}: no such folder")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "work").exists()
