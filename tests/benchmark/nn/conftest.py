"""Scripts run by two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

RunPair = Callable[[str, Path], list[Any]]


@pytest.fixture(scope="session")
def run_pair() -> RunPair:
    """Run a script as two ranks, ``script rank folder``; returns what they saved as rank.pt."""

    def run(script: str, folder: Path) -> list[Any]:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
        processes = [
            subprocess.Popen([sys.executable, script, str(rank), str(folder)], env=environment)
            for rank in range(2)
        ]
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
        return [torch.load(folder / f"{rank}.pt") for rank in range(2)]

    return run
