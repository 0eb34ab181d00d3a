"""CADICA: selection rules and list files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from reading import read_all

from benchmark.data.sources import open_source
from benchmark.errors import InputError

TOP = "selectedVideos"


@pytest.fixture
def root(raw, tmp_path: Path) -> Path:
    """The folder that holds selectedVideos, without defects."""
    shutil.copytree(raw("cadica", False).root, tmp_path, dirs_exist_ok=True)
    return tmp_path / "CADICA" / "CADICA"


def test_rules_and_numeric_order(tmp_path, root):
    frames = list(open_source("cadica", root).frames())
    videos = [f"cadica/{video}" for video in ("p2/v1", "p2/v10", "p14/v3")]
    assert [frame.video for frame in frames] == [video for video in videos for _ in range(3)]
    assert [frame.frame for frame in frames] == [9, 10, 12] * 3
    assert {frame.group for frame in frames} == {"cadica/p2", "cadica/p14"}
    assert frames[0].path == "selectedVideos/p2/v1/input/p2_v1_00009.png"
    for rule, count in (("selected_videos", 12), ("all", 16)):
        source = open_source("cadica", root, rule=rule)
        assert len(list(source.frames())) == count
        assert not source.report.counts
    for folder in (tmp_path, tmp_path / "CADICA", root / TOP):
        assert list(open_source("cadica", folder).frames()) == frames


def test_input_errors(tmp_path, root):
    with pytest.raises(InputError, match="does not look like CADICA"):
        open_source("cadica", root / TOP / "p2")
    shutil.rmtree(root / "nonselectedVideos")
    with pytest.raises(InputError, match="needs nonselectedVideos"):
        open_source("cadica", tmp_path, rule="all")


def test_lists_and_numbers_have_limits(tmp_path, root):
    video = root / TOP / "p2" / "v1"
    listing = video / "p2_v1_selectedFrames.txt"
    # More digits than a number may have, and a list without an end.
    listing.write_text(
        "p2_v1_" + "9" * 5000 + "\r\np2_v1_00009\r\n" + " " * (1 << 20) + "p2_v1_00010"
    )
    source = open_source("cadica", tmp_path)
    frames = [frame.frame for frame in source.frames() if frame.video == "cadica/p2/v1"]
    assert frames == [9]
    assert source.report.counts == {
        "list entry does not fit its video": 1,
        "list too long, truncated": 1,
    }


@pytest.mark.skipif("ANGIO_REALDATA" not in os.environ, reason="ANGIO_REALDATA names no folder")
def test_a_real_piece():
    reading = read_all(open_source("cadica", Path(os.environ["ANGIO_REALDATA"]) / "cadica"))
    assert (len(reading.frames), reading.skipped) == (26, {})
    assert len(reading.groups) == 3
    assert {pixels.shape for pixels in reading.pixels.values()} == {(512, 512)}
