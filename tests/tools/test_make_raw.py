"""Raw layouts from the command line, read by the tool that reads the real ones."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.data.synthetic.raw import LAYOUTS

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def test_every_layout_can_be_asked_for():
    """The tool lists them without loading what draws them, so its list is compared here."""
    text = (TOOLS / "make_raw.py").read_text(encoding="utf-8")
    names = re.search(r"NAMES = \((.*?)\n\)", text, re.DOTALL)
    assert re.findall(r'"(\w+)"', names[1]) == list(LAYOUTS)


def test_what_is_written_can_be_prepared(tmp_path, run_tool):
    made = run_tool(TOOLS / "make_raw.py", "xcav", "--out", tmp_path / "raw", "--size", 48)
    assert (made.returncode, made.stderr) == (0, "")
    planted = dict(re.findall(r"planted: (.*?)\s+(\d+)\n", made.stdout))
    done = run_tool(
        TOOLS / "prepare_data.py", "xcav", "--raw", tmp_path / "raw", "--out", tmp_path / "task"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert dict(re.findall(r"reported, (.*?)\s+(\d+)  e\.g\.", done.stdout)) == planted
    again = run_tool(TOOLS / "make_raw.py", "xcav", "--out", tmp_path / "raw")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith(f"error: {tmp_path / 'raw'}: is there already; choose another")
