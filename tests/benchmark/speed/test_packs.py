"""The measurement of packs: that it compares the same pixels and writes what it prints."""

from __future__ import annotations

import numpy as np
import pytest
from raw_layouts import picture, save

from benchmark.errors import InputError
from benchmark.speed.packs import bench_pack


@pytest.mark.slow
def test_both_sides_decode_the_same_pixels(tmp_path, written, capsys):
    rows = bench_pack(count=5, size=48, repeats=1, out=tmp_path)
    assert written("packs-cpu-1core") == rows
    kinds = [row["what"].split(",")[0] for row in rows]
    assert kinds == ["pack from PNG files", "pack from npz videos"]
    assert all(row["agreement_min"] == "1.000000" for row in rows)
    printed = capsys.readouterr().out
    assert "171,478 frames in" in printed
    assert all(row["ours_per_s"] in printed for row in rows)


@pytest.mark.slow
def test_own_pictures_of_any_size(tmp_path):
    for number in range(3):
        save(tmp_path / f"p{number}" / "1.png", picture(number, 40, 60))
    save(tmp_path / "p4" / "1.png", picture(4, 48, 48))
    (row,) = bench_pack(size=48, repeats=1, images=tmp_path)
    assert row["what"] == "pack from PNG files, 4 frames, 48x48, 1 process"
    assert row["agreement_mean"] == "1.000000", "of the one that is not resized"
    save(tmp_path / "p5" / "1.png", np.zeros((48, 48), np.uint8))
    with pytest.raises(InputError, match="5 frames decoded, 4 in the pack"):
        bench_pack(size=48, repeats=1, images=tmp_path)
