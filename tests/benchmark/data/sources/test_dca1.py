"""DCA1: pairs, split, masks and white levels."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_layouts import picture, save, write_dca1
from reading import read_all

from benchmark.data.frame import UnreadableFrame
from benchmark.data.sources import open_source


def test_masks_of_every_encoding(raw, read):
    for path, mask in read("dca1").annotations.items():
        vessel = raw("dca1").draw(int(Path(path).stem)).vessel
        if path not in ("11.pgm", "12.pgm"):  # whose images are damaged
            np.testing.assert_array_equal(mask, vessel[None])


@pytest.mark.skipif("ANGIO_REALDATA" not in os.environ, reason="ANGIO_REALDATA names no folder")
def test_a_real_piece():
    source = open_source("dca1", Path(os.environ["ANGIO_REALDATA"]) / "dca1")
    reading = read_all(source)
    assert (reading.splits, reading.skipped) == ({"train": 30, "test": 10}, {})
    for path, vessel in reading.annotations.items():
        assert vessel.shape == (1, *reading.pixels[path].shape) == (1, 300, 300)
        assert 0.02 < vessel.mean() < 0.3


def test_masks_do_not_affect_the_white_level_of_images(tmp_path):
    for number in (1, 2):
        values = np.arange(number, 4000 + number, dtype=np.uint16).reshape(40, 100)
        Image.fromarray(values).save(tmp_path / f"{number}.png")
        Image.fromarray(np.where(values > 2000, 65535, 0).astype(np.uint16)).save(
            tmp_path / f"{number}_gt.png"
        )
    source = open_source("dca1", tmp_path)
    for number, frame in enumerate(source.frames(), start=1):
        values = np.arange(number, 4000 + number).reshape(40, 100)
        np.testing.assert_array_equal(source.read(frame), np.rint(values * 255 / 4095))
        np.testing.assert_array_equal(source.read_masks(frame)[0], values > 2000)


def _frames(source):
    return list(source.frames()), dict(source.report.counts)


def test_pairs_split_and_threshold(tmp_path):
    write_dca1(tmp_path / "Database_134_Angiograms", pairs=40)
    source = open_source("dca1", tmp_path)
    frames, skipped = _frames(source)
    assert skipped == {}
    assert [frame.path for frame in frames[:2] + frames[-1:]] == ["1.png", "2.png", "40.png"]
    assert [frame.split for frame in frames] == ["train"] * 30 + ["test"] * 10
    assert {frame.group for frame in frames} == {None}
    levels = np.array([[0, 1, 127, 128, 255]], dtype=np.uint8)
    save(source.root / "1_gt.png", levels)
    assert source.read_masks(frames[0]).tolist() == [[[False, False, False, True, True]]]


def test_defects_are_counted(tmp_path):
    write_dca1(tmp_path, pairs=5)
    (tmp_path / "2_gt.png").unlink()
    (tmp_path / "4.png").unlink()
    shutil.move(tmp_path / "5.png", tmp_path / "5.PNG")
    shutil.move(tmp_path / "5_gt.png", tmp_path / "5_GT.PNG")
    save(tmp_path / "1.pgm", picture(1))
    (tmp_path / ".6.png").touch()
    (tmp_path / "3_gt.png").write_bytes(b"")
    source = open_source("dca1", tmp_path)
    frames, skipped = _frames(source)
    assert sorted(frame.path for frame in frames)[1:] == ["3.png", "5.PNG"]
    assert skipped == {
        "duplicate name": 1,
        "image without a mask": 1,
        "mask without an image": 1,
    }
    assert _frames(source)[1] == skipped, "a second walk starts a new report"
    with pytest.raises(UnreadableFrame, match="mask: empty file"):
        source.read_masks(next(frame for frame in frames if frame.path == "3.png"))
