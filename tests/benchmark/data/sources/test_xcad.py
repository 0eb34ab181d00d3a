"""XCAD: two halves, their variants, and the pairs of the test half."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from raw_layouts import picture, save
from reading import read_all

from benchmark.data.sources import open_source
from benchmark.errors import InputError


def test_masks_and_sequences(raw, read):
    reading, written = read("xcad"), raw("xcad")
    assert not any("trainA" in path or "trainC" in path for path in reading.frames)
    frames = {path: frame for path, frame in reading.frames.items() if frame.split == "test"}
    assert [(frame.group, frame.frame) for frame in frames.values()] == [
        ("xcad/00018", 33),
        ("xcad/00018", 40),
        ("xcad/00031", 5),
        ("xcad/12241", 33),
        (None, None),
    ]
    # A mask of 0 and 1, and one with a soft edge.
    for path, vessel in (
        ("test/images/00018_40.png", written.draw(20, 1).vessel),
        ("test/images/00031_5.png", written.draw(6).vessel),
    ):
        np.testing.assert_array_equal(reading.annotations[path], vessel[None])
    assert open_source("xcad", written.root).pack_splits == ("train",)


def test_renamed_copies_and_single_halves(tmp_path):
    for number in range(3):
        save(tmp_path / "a" / "train" / "img" / f"{number}.png", picture(number))
        save(tmp_path / "a" / "Test" / "img" / f"0001{number}_3.png", picture(number))
        save(tmp_path / "a" / "Test" / "gt" / f"0001{number}_3.png", picture(number) < 90)
        save(tmp_path / "b" / "train" / f"{number}.png", picture(number))
    assert read_all(open_source("xcad", tmp_path / "a")).splits == {"train": 3, "test": 3}
    assert read_all(open_source("xcad", tmp_path / "b")).splits == {"train": 3}
    shutil.rmtree(tmp_path / "a" / "train")
    assert read_all(open_source("xcad", tmp_path / "a")).splits == {"test": 3}
    # Images beside trainA alone are not those of trainB.
    save(tmp_path / "c" / "train" / "trainA" / "1.png", picture(1))
    with pytest.raises(InputError, match="does not look like XCAD"):
        open_source("xcad", tmp_path / "c")
    shutil.rmtree(tmp_path / "a" / "Test" / "gt")
    reading = read_all(open_source("xcad", tmp_path / "a"))
    assert (len(reading.frames), reading.skipped) == (0, {"image without a mask": 3})
