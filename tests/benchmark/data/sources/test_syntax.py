"""SYNTAX: a tree of images of which only the patients' folders are known."""

from __future__ import annotations

import numpy as np
import pytest
from raw_layouts import picture, save
from reading import read_all

from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw import Canvas, write_raw
from benchmark.errors import InputError

SIZE = 48


def test_patients_are_identified_by_folder(tmp_path):
    write_raw("syntax", tmp_path, size=SIZE)
    reading = read_all(open_source("syntax", tmp_path))
    assert set(reading.groups) == {f"syntax/Patient {number}" for number in (1, 2, 10)}
    assert {frame.source for frame in reading.frames.values()} == {"syntax"}


def test_intensities_of_every_encoding(tmp_path):
    write_raw("syntax", tmp_path, size=SIZE)
    pixels = read_all(open_source("syntax", tmp_path)).pixels
    drawn = Canvas(tmp_path, size=SIZE).draw(10, 0).image
    folder = "SYNTAX/images/Patient 10"
    for name in ("0.png", "deep.tiff", "picture.npy#00000", "picture.dcm#00000"):
        np.testing.assert_array_equal(pixels[f"{folder}/{name}"], drawn)
    # JPEG is lossy.
    assert np.abs(pixels[f"{folder}/colour.JPG"].astype(int) - drawn).mean() < 4


def test_images_of_unknown_patients_are_used_and_reported(tmp_path):
    for name in "abc":
        save(tmp_path / f"{name}.png", picture(1))
    reading = read_all(open_source("syntax", tmp_path))
    assert reading.groups == {None: 3}
    assert reading.skipped == {"patient unknown": 3}
    assert read_all(open_source("syntax", tmp_path, group="prefix")).groups == {
        f"syntax/{name}": 1 for name in "abc"
    }


def test_input_errors(tmp_path):
    (tmp_path / "scores.xlsx").touch()
    (tmp_path / "images.rar").touch()
    with pytest.raises(InputError, match=r"unpack images\.rar first"):
        open_source("syntax", tmp_path)
    with pytest.raises(InputError, match="unknown option of syntax"):
        open_source("syntax", tmp_path, name="other")
