"""The command line of the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from leaderboard.build import published_leaderboard
from leaderboard.data import board_data
from leaderboard.published import read_tables

TOOL = Path(__file__).resolve().parents[2] / "tools" / "plot.py"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("board") / "published.json"
    path.write_text(json.dumps(board_data(published_leaderboard(read_tables()))))
    return path


@pytest.fixture(name="run")
def _run(run_tool):
    return partial(run_tool, TOOL)


def test_figure_is_written_with_its_size(run, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "cd.svg"
    code, printed, _ = run("critical-difference", source, "--out", out, "--width", "120")
    assert code == 0
    assert printed.startswith(f"{out}: critical-difference, 120 × ")
    assert out.read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ranks", "SOURCE", "--out", "a.gif"], "a.gif: a figure must end in"),
        (["ranks", "none.json", "--out", "a.png"], "none.json: no such file"),
        (["ranks", "SOURCE", "SOURCE", "--out", "a.png"], "takes a single leaderboard.json"),
        (["ranks", "SOURCE", "--out", "a.png", "--width", "5"], "--width 5: must be 60 to 1000"),
        (["ranks", "SOURCE", "--out", "a.png", "--dpi", "5"], "--dpi 5: must be 50 to 1200"),
        (["curves", "SOURCE", "--out", "a.png", "--curves", "x"], "there is no such curve"),
        (["training", "none", "--out", "a.png"], "no such log"),
    ],
)
def test_bad_input_is_one_line(
    run, source: Path, tmp_path: Path, monkeypatch, arguments, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = [str(source) if word == "SOURCE" else word for word in arguments]
    code, printed, errors = run(*filled)
    assert (code, printed) == (2, "")
    assert words in errors
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_neither_help_nor_drawing_needs_torch(source: Path, tmp_path: Path) -> None:
    """Help needs no matplotlib either; as the tool runs them, from its own folder."""
    start = f"import runpy, sys; sys.path.insert(0, {str(TOOL.parent)!r})\n"
    code = start + (
        "sys.argv = sys.argv[:1] + sys.argv[2:]\n"
        "try:\n"
        f"    runpy.run_path({str(TOOL)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    loaded = sorted({'torch', 'matplotlib', 'pandas'} & sys.modules.keys())\n"
        "    print(end.code, *loaded)\n"
    )
    out = tmp_path / "a.png"
    for arguments, last in (
        (["--help"], "0"),
        (["ranks", str(source), "--out", str(out)], "0 matplotlib"),
    ):
        command = [sys.executable, "-c", code, "x", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == last
