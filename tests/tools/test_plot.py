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


def test_figure_is_written_with_its_size(run, source, tmp_path):
    out = tmp_path / "deep" / "cd.svg"
    code, printed, _ = run("critical-difference", source, "--out", out, "--width", "120")
    assert code == 0
    assert printed.startswith(f"{out}: critical-difference, 120 × ")
    assert out.read_text().startswith("<?xml")


def test_what_is_higher_than_a_page_has_numbered_files(run, source, tmp_path):
    code, printed, _ = run("datasets", source, "--out", tmp_path / "a.svg", "--width", "60")
    assert code == 0
    files = [tmp_path / f"a-{number}.svg" for number in range(1, len(printed.splitlines()) + 1)]
    assert sorted(tmp_path.iterdir()) == files
    assert len(files) > 1
    heights = [int(line.split("× ")[1].removesuffix(" mm")) for line in printed.splitlines()]
    assert max(heights) <= 229


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
def test_bad_input_is_one_line(run, source, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    filled = [str(source) if word == "SOURCE" else word for word in arguments]
    code, printed, errors = run(*filled)
    assert (code, printed) == (2, "")
    assert words in errors
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_drawing_needs_no_torch(source, tmp_path):
    """As the tool runs, from its own folder."""
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(TOOL.parent)!r})\n"
        "try:\n"
        f"    runpy.run_path({str(TOOL)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    sys.exit(end.code or len({'torch', 'pandas'} & sys.modules.keys()))\n"
    )
    command = [sys.executable, "-c", code, "ranks", str(source), "--out", str(tmp_path / "a.png")]
    subprocess.run(command, check=True)
