"""The command line of the checks."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.packs import build_pack
from benchmark.data.sources import open_source
from benchmark.data.tasks import write_task_folder

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "check.py"


@pytest.fixture(name="run")
def _run(run_tool):
    return partial(run_tool, TOOL)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A pack of two training patients, a task whose test patient is a third, a pack of all."""
    folder = tmp_path_factory.mktemp("data")
    source = open_source("synthetic", patients=3, videos=1, frames=4, first_frame=3, size=64)
    build_pack(source, folder / "train", size=64, splits=["train"], progress=False)
    write_task_folder(source, folder / "task", progress=False)
    build_pack(source, folder / "all", size=32, progress=False)
    return folder / "train", folder / "task", folder / "all"


def _row(output: str, label: str) -> list[str]:
    (line,) = (line for line in output.splitlines() if line.startswith(label))
    return line[len(label) :].split()


def test_whole_data_gives_code_zero_and_a_table(run, tmp_path, folders):
    train, task, _ = folders
    result = run("data", train, task, "--out", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("0 errors, 0 warnings") == 2
    assert _row(result.stdout, "frames compared with their hash") == ["2"]
    written = json.loads((tmp_path / "check.json").read_text())["checked"]
    assert [entry["kind"] for entry in written] == ["pack", "segmentation"]
    assert written[1]["counts"]["  test"] == 1


def test_damage_gives_code_one_and_names_the_place(run, tmp_path, folders):
    source = open_source("synthetic", patients=2, videos=1, frames=4, first_frame=3, size=64)
    build_pack(source, tmp_path / "pack", size=64, progress=False)
    frames = np.memmap(tmp_path / "pack" / "frames.u8", np.uint8, "r+", shape=(2, 64, 64))
    frames[1, 0, 0] ^= 1
    frames.flush()
    (tmp_path / "pack" / "notes.txt").touch()
    result = run("data", folders[0], tmp_path / "pack")
    assert (result.returncode, result.stderr) == (1, "")
    assert _row(result.stdout, "error: pixels differ from their hash") == [
        *("1", "e.g.", "synthetic/patient0001/video0/frame03")
    ]
    assert _row(result.stdout, "warning: unlisted file") == ["1", "e.g.", "notes.txt"]
    assert result.stdout.endswith("1 errors, 1 warnings\n")


def test_leakage_is_reported_where_fine_tuning_looks(run, folders):
    train, task, everything = folders
    clean = run("leakage", "--pretrain", train, "--test", task)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert _row(clean.stdout, "patients on both sides") == ["0"]
    found = run("leakage", "--pretrain", everything, "--test", task)
    assert (found.returncode, found.stderr) == (1, "")
    assert _row(found.stdout, "frames with an identical one") == ["1", "1", "pairs"]
    assert _row(found.stdout, "patients on both sides") == ["1"]
    reports = sorted(task.glob("leakage/*/report.json"))
    counts = [json.loads(path.read_text())["counts"]["exact"] for path in reports]
    assert sorted(counts) == [0, 1]
    assert len(list(task.glob("leakage/*/pairs.png"))) == 1
    assert run("data", task).returncode == 0, "a report is no foreign file"


def test_several_tests_below_one_folder(run, tmp_path, folders):
    train, task, everything = folders
    result = run("leakage", "--pretrain", train, "--test", task, everything, "--out", tmp_path)
    assert result.returncode == 1
    written = sorted(path.parent.name for path in tmp_path.rglob("report.json"))
    assert written == ["all", "synthetic_v"]
    twice = run("leakage", "--pretrain", train, "--test", task, task, "--out", tmp_path)
    assert twice.returncode == 2
    assert twice.stderr == "error: --test: two folders of the same name; check them one by one\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "absent"), "absent: no such folder"),
        (("data", "."), "not a task folder"),
        (("leakage", "--pretrain", "absent", "--test", "."), "absent: no such folder"),
        (("leakage", "--pretrain", "PACK", "--test", "."), "not a task folder"),
        (("data", "PACK", "--out", "FILE"), "file: not a folder; choose another --out"),
        (
            ("leakage", "--pretrain", "PACK", "--test", "PACK", "--out", "FILE"),
            "file: not a folder",
        ),
    ],
)
def test_bad_input_is_one_line_and_code_two(run, tmp_path, folders, arguments, message):
    (tmp_path / "file").touch()
    known = {".": tmp_path, "PACK": folders[0], "FILE": tmp_path / "file"}
    result = run(*(known.get(word, word) for word in arguments))
    assert message in result.refusal


def test_environment_is_a_table_and_missing_parts_are_code_one(run, monkeypatch, tmp_path):
    """One line per finding under its part, the advice below it, the sums last."""
    from benchmark.checks import environment
    from benchmark.checks.environment import Finding

    found = [
        ("software", Finding("torch", "2.11.0")),
        ("storage", Finding("disk", "1 MB/s", "slow", "move it")),
    ]
    monkeypatch.setattr(environment, "examine", lambda work, packs: iter(found))
    result = run("env", "--work", tmp_path)
    assert result.returncode == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[:3] == [["software"], ["torch", "ok", "2.11.0"], ["storage"]]
    assert lines[3:5] == [["disk", "slow", "1", "MB/s"], ["move", "it"]]
    assert result.stdout.endswith("1 ok, 0 note, 1 slow, 0 missing\n")
    found.append(("storage", Finding("room", "0 B", "missing", "free some")))
    assert run("env").returncode == 1


def test_environment_refuses_a_pack_that_is_none(run, tmp_path):
    result = run("env", "--work", tmp_path, "--packs", tmp_path / "none")
    assert result.refusal.startswith(f"error: {tmp_path / 'none'}: no such folder")
