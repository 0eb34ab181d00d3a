"""The measurement of packs: that it compares the same pixels and writes what it prints."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from raw_layouts import picture, save

from benchmark.errors import InputError
from benchmark.speed import packs
from benchmark.speed.timing import COLUMNS


def test_both_sides_decode_the_same_pixels(tmp_path, capsys):
    rows = packs.bench_pack(count=5, size=48, repeats=1, out=tmp_path / "pack.csv")
    with open(tmp_path / "pack.csv", encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == rows
    assert [row["what"].split(",")[0] for row in rows] == [
        "pack from PNG files",
        "pack from npz videos",
    ]
    for row in rows:
        assert tuple(row) == COLUMNS
        assert row["agreement_min"] == row["agreement_mean"] == "1.000000"
        ratio = float(row["ours_per_s"]) / float(row["reference_per_s"])
        assert float(row["ratio"]) == pytest.approx(ratio, abs=0.01)
    printed = capsys.readouterr().out
    assert "171,478 frames in" in printed
    assert all(row["ours_per_s"] in printed for row in rows)


def test_own_pictures_of_any_size(tmp_path, capsys):
    for number in range(3):
        save(tmp_path / "raw" / f"p{number}" / "1.png", picture(number, 40, 60))
    save(tmp_path / "raw" / "p4" / "1.png", picture(4, 48, 48))
    (row,) = packs.bench_pack(size=48, repeats=1, images=tmp_path / "raw")
    assert row["what"] == "pack from PNG files, 4 frames, 48x48, 1 process"
    assert row["agreement_mean"] == "1.000000", "of the one that is not resized"
    save(tmp_path / "raw" / "p5" / "1.png", np.zeros((48, 48), np.uint8))
    with pytest.raises(InputError, match="5 frames decoded, 4 in the pack"):
        packs.bench_pack(size=48, repeats=1, images=tmp_path / "raw")
    with pytest.raises(InputError, match="--repeats 0"):
        packs.bench_pack(repeats=0)
