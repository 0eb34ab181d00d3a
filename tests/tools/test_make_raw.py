"""Raw layouts from the command line, read by the tool that reads the real ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from benchmark.data.synthetic.raw import LAYOUTS

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def _run(tool: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, TOOLS / f"{tool}.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_layout_can_be_asked_for() -> None:
    """The tool lists them without loading what draws them, so its list is compared here."""
    text = (TOOLS / "make_raw.py").read_text(encoding="utf-8")
    names = re.search(r"NAMES = \((.*?)\n\)", text, re.DOTALL)
    assert re.findall(r'"(\w+)"', names[1]) == list(LAYOUTS)


def test_what_is_written_can_be_prepared(tmp_path: Path) -> None:
    made = _run("make_raw", "xcav", "--out", tmp_path / "raw", "--size", 48)
    assert (made.returncode, made.stderr) == (0, "")
    planted = dict(re.findall(r"planted: (.*?)\s+(\d+)\n", made.stdout))
    done = _run("prepare_data", "xcav", "--raw", tmp_path / "raw", "--out", tmp_path / "task")
    assert (done.returncode, done.stderr) == (0, "")
    assert dict(re.findall(r"reported, (.*?)\s+(\d+)  e\.g\.", done.stdout)) == planted
    again = _run("make_raw", "xcav", "--out", tmp_path / "raw")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith(f"error: {tmp_path / 'raw'}: is there already; choose another")
