"""The command line of data preparation."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "prepare_data.py"


@pytest.fixture
def run(run_tool):
    return partial(run_tool, TOOL)


@pytest.fixture
def raw(tmp_path) -> Path:
    """DCA1 with 8 pairs: one image empty, one constant, one mask absent."""
    folder = tmp_path / "raw"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(1, 9):
        pixels = random.integers(0, 256, (20, 30), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        Image.fromarray((pixels > 128).astype(np.uint8) * 255).save(folder / f"{number}_gt.png")
    (folder / "2.png").write_bytes(b"")
    Image.new("L", (30, 20), 9).save(folder / "3.png")
    (folder / "4_gt.png").unlink()
    return folder


def _table(output: str) -> dict[str, int]:
    rows = (re.match(r"\s*(.*?)\s{2,}(\d+)", line) for line in output.splitlines())
    return {row[1]: int(row[2]) for row in rows if row}


def test_pack_with_its_report_and_again_at_once(tmp_path, raw, run):
    command = ("dca1", "--raw", raw, "--out", tmp_path / "pack", "--as", "pack")
    command += ("--size", 32, "--workers", 2, "--split", "train", "test")
    first = run(*command)
    assert (first.returncode, first.stderr) == (0, "")
    assert _table(first.stdout) == {
        "frames found": 7,
        "kept": 5,
        "train": 4,
        "test": 1,
        "reported, empty file": 1,
        "reported, constant image": 1,
        "reported, image without a mask": 1,
    }
    assert "published: 134" in first.stdout
    assert "not official" in first.stdout
    names = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "pack").iterdir()}
    assert sorted(names) == ["frames.u8", "index.parquet", "manifest.json", "report.json"]
    second = run(*command)
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert names == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "pack").iterdir()}


def test_segmentation_folder_of_one_split(tmp_path, raw, run):
    out = tmp_path / "seg"
    result = run("dca1", "--raw", raw, "--out", out, "--as", "segmentation", "--split", "test")
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(path.name for path in (out / "masks" / "test").iterdir()) == ["8.png"]
    assert not (out / "masks" / "train").exists()


def test_strict_leaves_nothing_under_the_final_name(tmp_path, raw, run):
    result = run("dca1", "--raw", raw, "--out", tmp_path / "pack", "--strict")
    assert result.returncode == 2
    assert result.stderr == (
        "error: strict: 1 skipped (image without a mask: 1), the first is 4.png\n"
    )
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dca2",), "unknown source 'dca2'; did you mean 'dca1'?"),
        (("dca1",), "give it with --raw"),
        (("dca1", "--raw", "absent"), "absent: no such folder"),
        (("cadica", "--raw", "."), "does not look like CADICA"),
        (("dca1", "--raw", ".", "--option", "rule"), "write it as key=value"),
        (("synthetic", "--option", "patients=0"), "patients=0: must be an integer of 1 or more"),
        (("dca1", "--raw", ".", "--as", "pack", "--val-fraction", "0.1"), "applies to tasks only"),
        (("dca1", "--raw", ".", "--size", "8"), "--size applies to packs only"),
        (("dca1", "--raw", ".", "--noise", "seed=1"), "--noise applies to --as denoising only"),
        (("cadica", "--raw", ".", "--as", "segmentation"), "--as segmentation: cadica has pack"),
        (("synthetic", "--as", "denoising", "--noise", "photon=1"), "did you mean 'photons'?"),
        (("synthetic", "--as", "denoising", "--noise", "photons=x"), "--noise photons=x:"),
        (("synthetic", "--exclude", "absent"), "absent: no such folder"),
        (("xa170k", "--raw", "cadica=absent"), "absent: no such folder"),
    ],
)
def test_bad_input_is_one_line_and_code_two(tmp_path, run, arguments, message):
    words = [tmp_path if word == "." else word for word in arguments]
    Image.new("L", (8, 8)).save(tmp_path / "1_gt.png")
    if "--as" in arguments and arguments[0] == "cadica":
        video = tmp_path / "selectedVideos" / "p1" / "v1"
        (video / "input").mkdir(parents=True)
        Image.new("L", (8, 8)).save(video / "input" / "p1_v1_00001.png")
        (video / "p1_v1_selectedFrames.txt").write_bytes(b"p1_v1_00001\r\n")
    result = run(*words, "--out", tmp_path / "out")
    assert message in result.refusal
    assert not (tmp_path / "out").exists()


def test_a_dataset_in_a_subfolder_is_said_to_be_there(tmp_path, raw, run):
    """Archives are often unpacked one level too deep."""
    command = ("--as", "pack", "--size", 32, "--workers", 0)
    exact = run("dca1", "--raw", raw, "--out", tmp_path / "exact", *command)
    above = run("dca1", "--raw", raw.parent, "--out", tmp_path / "above", *command)
    assert (exact.returncode, above.returncode) == (0, 0), above.stderr
    assert "found in the subfolder" not in exact.stdout
    assert above.stdout.splitlines()[0] == f"found in the subfolder {raw.name}"
