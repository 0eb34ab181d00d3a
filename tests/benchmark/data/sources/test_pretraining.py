"""Datasets for pre-training: CADICA, CoronaryDominance, and XA-170K, which is made of them."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from raw_layouts import picture, save
from reading import read_all

from benchmark.data.sources import SOURCES, open_source
from benchmark.data.sources.coronary_dominance import evenly_spaced
from benchmark.data.synthetic.raw.containers import npz_bytes
from benchmark.data.synthetic.raw.coronary_dominance import run
from benchmark.errors import InputError

STUDY = "main_normal/Left_Dominance/Study00123_a1f"
PARTS = ("cadica", "syntax", "xcad", "coronary_dominance")


@pytest.fixture
def cadica(raw, tmp_path: Path) -> Path:
    """The folder that holds selectedVideos, without defects."""
    shutil.copytree(raw("cadica", False).root, tmp_path, dirs_exist_ok=True)
    return tmp_path / "CADICA" / "CADICA"


def test_rules_of_cadica_and_numeric_order(tmp_path, cadica):
    frames = list(open_source("cadica", cadica).frames())
    videos = [f"cadica/{video}" for video in ("p2/v1", "p2/v10", "p14/v3")]
    assert [frame.video for frame in frames] == [video for video in videos for _ in range(3)]
    assert [frame.frame for frame in frames] == [9, 10, 12] * 3
    assert {frame.group for frame in frames} == {"cadica/p2", "cadica/p14"}
    assert frames[0].path == "selectedVideos/p2/v1/input/p2_v1_00009.png"
    for rule, count in (("selected_videos", 12), ("all", 16)):
        source = open_source("cadica", cadica, rule=rule)
        assert len(list(source.frames())) == count
        assert not source.report.counts
    for folder in (tmp_path, tmp_path / "CADICA", cadica / "selectedVideos"):
        assert list(open_source("cadica", folder).frames()) == frames


def test_what_is_not_cadica_is_refused(tmp_path, cadica):
    with pytest.raises(InputError, match="does not look like CADICA"):
        open_source("cadica", cadica / "selectedVideos" / "p2")
    shutil.rmtree(cadica / "nonselectedVideos")
    with pytest.raises(InputError, match="needs nonselectedVideos"):
        open_source("cadica", tmp_path, rule="all")


def test_lists_and_numbers_of_cadica_have_limits(tmp_path, cadica):
    video = cadica / "selectedVideos" / "p2" / "v1"
    listing = video / "p2_v1_selectedFrames.txt"
    shutil.copy(video / "input" / "p2_v1_00009.png", video / "input" / "p2_v1_00016.png")
    # More digits than a number may have, and a list without an end.
    words = ["p2_v1_" + "9" * 5000, "p2_v1_00016", "p2_v1_00009", " " * (1 << 20), "p2_v1_00010"]
    listing.write_text("\r\n".join(words))
    source = open_source("cadica", tmp_path)
    frames = [frame.frame for frame in source.frames() if frame.video == "cadica/p2/v1"]
    assert frames == [9, 16]
    assert source.report.counts == {
        "list entry does not fit its video": 1,
        "list too long, truncated": 1,
    }


@pytest.mark.skipif("ANGIO_REALDATA" not in os.environ, reason="ANGIO_REALDATA names no folder")
def test_a_real_piece_of_cadica():
    reading = read_all(open_source("cadica", Path(os.environ["ANGIO_REALDATA"]) / "cadica"))
    assert (len(reading.frames), reading.skipped) == (26, {})
    assert len(reading.groups) == 3
    assert {pixels.shape for pixels in reading.pixels.values()} == {(512, 512)}


def test_intensities_of_npz_videos(raw, read):
    pixels = read("coronary_dominance").pixels
    good = run(raw("coronary_dominance"), 123, 1)
    np.testing.assert_array_equal(good[2], raw("coronary_dominance").draw(123, 1, 2, 4).image)
    study = "real_distribution/Right_Dominance/Study00200_x/LCA"
    for position in range(4):
        assert (pixels[f"{STUDY}/LCA/1.npz#{position:05d}"] == good[position]).all()
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
    first = [frame for frame in frames if frame.path.startswith(f"{STUDY}/RCA")]
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
        open_source("coronary_dominance", root / STUDY)


def test_names_give_groups_videos_and_frames(read):
    frames = read("xa170k").frames
    rows = {path: (f.source, f.group, f.video, f.frame) for path, f in frames.items()}
    study = "coronary_dominance/Study123"
    assert rows["cadica/p14_v3_00010.png"] == ("cadica", "cadica/p14", "cadica/p14/v3", 10)
    assert rows["cadica/more/unnamed.bmp"] == ("cadica", None, None, None)
    assert rows["syntax/Patient1_0.png"] == ("syntax", "syntax/Patient1", None, None)
    assert rows["xcad/2.png"] == ("xcad", None, None, None)
    name = "coronary_dominance/Study00123_LCA_sequence1_slice10.png"
    assert rows[name] == ("coronary_dominance", study, f"{study}/LCA/sequence1", 10)
    assert not any("filter" in path or "frangi" in path for path in rows)


@pytest.fixture
def originals(raw):
    """Folders of the four original downloads, without defects."""
    return {name: raw(name, False).root for name in PARTS}


def test_the_originals_give_the_same_groups_as_the_curated_download(originals, read, tmp_path):
    reading = read_all(open_source("xa170k", originals))
    assert reading.skipped == {}
    expected = SOURCES["xa170k"].expected
    assert sum(expected[name] for name in PARTS) == expected["frames"]
    assert reading.splits == {None: 9 + 6 + 5 + 16}
    count = Counter(frame.source for frame in reading.frames.values())
    assert count == {"cadica": 9, "syntax": 6, "xcad": 5, "coronary_dominance": 16}
    assert not any("/test/" in path for path in reading.frames)
    # The same parts read by themselves: same groups, same pixels.
    for name in PARTS:
        for path, frame in read(name, False).frames.items():
            if frame.split != "test":
                assert reading.frames[f"{name}/{path}"].group == frame.group
                assert reading.frames[f"{name}/{path}"].video == frame.video
    groups = {"cadica/p2", "cadica/p14", "coronary_dominance/Study123"}
    assert groups <= set(reading.groups) & set(read("xa170k", False).groups)
    # A folder with all of them is not mistaken for the curated download.
    for name, folder in originals.items():
        (tmp_path / name).symlink_to(folder)
    assert list(open_source("xa170k", tmp_path).frames()) == list(reading.frames.values())


def test_options_of_xa170k_reach_the_parts(originals):
    options = {"cadica_rule": "all", "frames_per_video": 1, "syntax_group": "none"}
    reading = read_all(open_source("xa170k", originals, **options))
    count = Counter(frame.source for frame in reading.frames.values())
    assert count == {"cadica": 16, "syntax": 6, "xcad": 5, "coronary_dominance": 4}
    assert {frame.group for frame in reading.frames.values() if frame.source == "syntax"} == {None}


def test_missing_parts_and_skips_of_the_parts_are_reported(raw):
    layout = raw("cadica")
    source = open_source("xa170k", {"cadica": layout.root})
    reading = read_all(source)
    assert reading.splits == layout.frames
    assert reading.skipped == {**layout.skipped, "part of XA-170K missing": 3}
    missing = [path for reason, path in source.report.items if reason.startswith("part of")]
    assert missing == ["syntax", "xcad", "coronary_dominance"]
    others = [path for reason, path in source.report.items if not reason.startswith("part of")]
    assert ("cadica/selectedVideos/notes") in others


def test_only_reserved_studies_of_xa170k(read):
    keep = read("xa170k", denoising="keep")
    assert keep.groups["coronary_dominance/Study42"] == 2
    assert set(keep.splits) == {None}
    only = read("xa170k", denoising="only")
    assert only.groups == {"coronary_dominance/Study42": 2}
    assert only.splits == {"test": 2}


def test_parts_of_xa170k_that_do_not_fit_are_refused(tmp_path, originals):
    with pytest.raises(InputError, match="did you mean 'coronary_dominance'"):
        open_source("xa170k", {"coronarydominance": tmp_path})
    with pytest.raises(InputError, match="no folder given"):
        open_source("xa170k", {})
    with pytest.raises(InputError, match="does not look like CADICA"):
        open_source("xa170k", {"cadica": originals["xcad"]})
    with pytest.raises(InputError, match="needs the part coronary_dominance"):
        open_source("xa170k", {"cadica": originals["cadica"]}, denoising="only")
    save(tmp_path / "Cadica" / "p1_v1_00001.png", picture(1))
    with pytest.raises(InputError, match="frames are already selected"):
        open_source("xa170k", tmp_path, cadica_rule="all")
