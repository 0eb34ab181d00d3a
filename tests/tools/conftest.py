"""Running a command line in the process of the tests: its libraries take seconds to load."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest


class Result(NamedTuple):
    """What a command line that has ended leaves."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run_tool(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """A tool of this path with these arguments, to its end."""

    def run(tool: Path, *arguments: str | Path) -> Result:
        monkeypatch.syspath_prepend(tool.parent)
        monkeypatch.setattr(sys, "argv", [str(tool), *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(tool), run_name="__main__")
        return Result(end.value.code, *capsys.readouterr())

    return run
