"""Two thousand mutated files: counted skips or one-line errors, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.data.synthetic.raw import LAYOUTS, write_raw

PROGRAM = Path(__file__).resolve().parents[1] / "fuzzing.py"


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small copy of every dataset in its raw layout."""
    folder = tmp_path_factory.mktemp("templates")
    for name in LAYOUTS:
        write_raw(name, folder / name, size=48, defects=False)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory and reads it as Linux does")
@pytest.mark.parametrize("seed", [0, 1])
def test_mutated_files_are_skipped_or_refused(templates: Path, tmp_path: Path, seed: int) -> None:
    """No traceback, no hang, no file outside the folder, no memory allocated on a header's word."""
    command = [sys.executable, PROGRAM, templates, tmp_path, str(seed), "1000"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout)
    assert sum(found["mutated"].values()) >= 1000
    assert len(found["mutated"]) == 14  # all kinds of mutation
    # Most mutations leave readable frames; if all went unnoticed, none was applied.
    assert found["outcomes"]["skipped"] > 30
    assert found["outcomes"]["refused"] > 10
    assert found["peak_mib"] < 1024
