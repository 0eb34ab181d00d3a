"""CADICA end to end; its rules and list files are tested beside the other readers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from reading import read_all

from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw import Canvas, write_raw

SIZE = 48
TOP = "selectedVideos"


def test_intensities_of_every_encoding(tmp_path):
    write_raw("cadica", tmp_path, size=SIZE)
    pixels = read_all(open_source("cadica", tmp_path)).pixels
    canvas = Canvas(tmp_path, size=SIZE)
    for patient, video, number in ((2, 10, 9), (14, 3, 12)):
        path = f"{TOP}/p{patient}/v{video}/input/p{patient}_v{video}_{number:05d}.png"
        np.testing.assert_array_equal(pixels[path], canvas.draw(patient, video, number % 8).image)
    for name in ("00001.PNG", "00002.png", "00003.png", "00004.png"):
        found = pixels[f"{TOP}/p14/v7/input/p14_v7_{name}"]
        np.testing.assert_array_equal(found, canvas.draw(14, 7).image)


def test_lists_and_numbers_have_limits(tmp_path):
    write_raw("cadica", tmp_path, size=SIZE, defects=False)
    video = tmp_path / "CADICA" / "CADICA" / TOP / "p2" / "v1"
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
