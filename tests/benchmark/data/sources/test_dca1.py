"""DCA1 end to end; its split and pairs are tested beside the other readers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reading import read_all

from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw import Canvas, write_raw

SIZE = 48


def test_images_and_masks_of_every_encoding(tmp_path):
    write_raw("dca1", tmp_path, size=SIZE)
    source = open_source("dca1", tmp_path)
    reading = read_all(source)
    canvas = Canvas(tmp_path, size=SIZE)
    for path, frame in reading.frames.items():
        drawn = canvas.draw(int(Path(path).stem))
        np.testing.assert_array_equal(reading.pixels[path], drawn.image)
        np.testing.assert_array_equal(source.read_masks(frame), drawn.vessel[None])


@pytest.mark.skipif("ANGIO_REALDATA" not in os.environ, reason="ANGIO_REALDATA names no folder")
def test_a_real_piece():
    source = open_source("dca1", Path(os.environ["ANGIO_REALDATA"]) / "dca1")
    reading = read_all(source)
    assert (reading.splits, reading.skipped) == ({"train": 30, "test": 10}, {})
    for path, frame in reading.frames.items():
        vessel = source.read_masks(frame)
        assert vessel.shape == (1, *reading.pixels[path].shape)
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
