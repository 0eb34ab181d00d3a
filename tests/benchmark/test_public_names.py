"""What ``import benchmark`` offers, and what it does not load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import benchmark

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "numpy", "pandas", "mmengine", "timm", "scipy")


def test_the_import_is_light() -> None:
    program = f"import benchmark, sys; print([n for n in {HEAVY} if n in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_is_documented_and_importable() -> None:
    for name in benchmark.__all__:
        assert getattr(benchmark, name).__doc__
        assert name in dir(benchmark)
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        _ = benchmark.load_modle
