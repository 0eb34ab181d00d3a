"""CoronaryDominance: videos of studies, with and without the defects of the download."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from benchmark.data.sources import open_source
from benchmark.data.sources.coronary_dominance import evenly_spaced
from benchmark.data.synthetic.raw.containers import npz_bytes
from benchmark.data.synthetic.raw.coronary_dominance import run
from benchmark.errors import InputError

MAIN = "main_normal/Left_Dominance/Study00123_a1f"


def test_intensities_of_every_encoding(raw, read):
    pixels = read("coronary_dominance").pixels
    good = run(raw("coronary_dominance"), 123, 1)
    np.testing.assert_array_equal(good[2], raw("coronary_dominance").draw(123, 1, 2, 4).image)
    study = "real_distribution/Right_Dominance/Study00200_x/LCA"
    for position in range(4):
        assert (pixels[f"{MAIN}/LCA/1.npz#{position:05d}"] == good[position]).all()
        for series in ("10.npz", "11.NPZ", "12.npz"):
            assert (pixels[f"{study}/{series}#{position:05d}"] == good[position]).all()
        below = np.maximum(good[position].astype(int) - 40, 0)
        assert (pixels[f"{study}/13.npz#{position:05d}"] == below).all()
        # 16 times the intensity as 12-bit data: 16·255/4095 of it.
        deep = np.floor(good[position] * (16 * 255 / 4095) + 0.5)
        assert (pixels[f"{study}/15.npz#{position:05d}"] == deep).all()
        assert (pixels[f"{study}/16.npz#{position + 1:05d}"] == good[position]).all()
    assert (pixels[f"{study}/14.npz#00000"] == good[0]).all()


def test_studies_series_and_positions(read):
    frames = read("coronary_dominance", False).frames.values()
    assert Counter(frame.group for frame in frames) == {
        "coronary_dominance/Study123": 8,
        "coronary_dominance/Study7": 4,
        "coronary_dominance/Study1001": 4,
    }
    first = [frame for frame in frames if frame.path.startswith(f"{MAIN}/RCA")]
    assert {frame.video for frame in first} == {"coronary_dominance/Study123/RCA/2"}
    assert [(frame.path[-6:], frame.frame) for frame in first] == [
        (f"#{position:05d}", position) for position in range(4)
    ]


def test_reserved_studies_are_excluded_kept_or_read_alone(tmp_path):
    for number in (7, 17, 42):
        for artery in ("LCA", "RCA"):
            path = tmp_path / f"Left_Dominance/Study{number}_x/{artery}/1.npz"
            path.parent.mkdir(parents=True)
            path.write_bytes(npz_bytes(pixel_array=np.zeros((2, 8, 8), np.uint8)))

    def studies(mode: str) -> tuple[dict, dict]:
        source = open_source("coronary_dominance", tmp_path, denoising=mode)
        frames = Counter((frame.group.rpartition("/")[2], frame.split) for frame in source.frames())
        assert not source.report.counts
        return dict(frames), dict(source.report.set_aside)

    reserved = {"study reserved for the denoising set": 2}
    assert studies("exclude") == ({("Study7", None): 4}, reserved)
    everything = {("Study7", None): 4, ("Study17", None): 4, ("Study42", None): 4}
    assert studies("keep") == (everything, {})
    assert studies("only") == ({("Study17", "train"): 4, ("Study42", "test"): 4}, {})


def test_some_frames_of_each_video(raw):
    assert evenly_spaced(10, 0) == evenly_spaced(10, 10) == evenly_spaced(10, 12) == list(range(10))
    # The middles of equal parts: 10/4 = 2.5 frames each.
    assert evenly_spaced(10, 4) == [1, 3, 6, 8]
    assert evenly_spaced(60, 1) == [30]
    assert evenly_spaced(5, 2) == [1, 3]
    root = raw("coronary_dominance", False).root
    source = open_source("coronary_dominance", root, frames_per_video="2")
    assert source.options["frames_per_video"] == 2
    assert Counter(frame.frame for frame in source.frames()) == {1: 4, 3: 4}
    # A level further down there are studies still, but inside one study there are none.
    assert list(open_source("coronary_dominance", root / "main_normal").frames())
    with pytest.raises(InputError, match="does not look like CoronaryDominance"):
        open_source("coronary_dominance", root / MAIN)
