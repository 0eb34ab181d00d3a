"""XA-170K: the curated download, and its assembly from the four originals."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from raw_layouts import picture, save
from reading import read_all

from benchmark.data.sources import SOURCES, open_source
from benchmark.data.synthetic.raw import Canvas, write_raw
from benchmark.errors import InputError

SIZE = 48
PARTS = ("cadica", "syntax", "xcad", "coronary_dominance")


def test_published_parts_add_up():
    expected = SOURCES["xa170k"].expected
    assert sum(expected[name] for name in PARTS) == expected["frames"]


def test_names_give_groups_videos_and_frames(tmp_path):
    write_raw("xa170k", tmp_path, size=SIZE)
    reading = read_all(open_source("xa170k", tmp_path))
    rows = {
        path: (frame.source, frame.group, frame.video, frame.frame)
        for path, frame in reading.frames.items()
    }
    study = "coronary_dominance/Study123"
    assert rows["cadica/p14_v3_00010.png"] == ("cadica", "cadica/p14", "cadica/p14/v3", 10)
    assert rows["cadica/more/unnamed.bmp"] == ("cadica", None, None, None)
    assert rows["syntax/Patient1_0.png"] == ("syntax", "syntax/Patient1", None, None)
    assert rows["xcad/2.png"] == ("xcad", None, None, None)
    name = "coronary_dominance/Study00123_LCA_sequence1_slice10.png"
    assert rows[name] == ("coronary_dominance", study, f"{study}/LCA/sequence1", 10)
    canvas = Canvas(tmp_path, size=SIZE)
    for path, number in ((name, 8), ("cadica/more/p2_v1_00010.PNG", 1), ("xcad/2.png", 6)):
        np.testing.assert_array_equal(reading.pixels[path], canvas.draw(number).image)
    assert not any("filter" in path or "frangi" in path for path in rows)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The four original downloads, without defects."""
    root = tmp_path_factory.mktemp("originals")
    for name in PARTS:
        write_raw(name, root / name, size=SIZE, defects=False)
    return root


def test_the_originals_give_the_same_groups_as_the_curated_download(originals, tmp_path):
    folders = {name: originals / name for name in PARTS}
    reading = read_all(open_source("xa170k", folders))
    assert reading.skipped == {}
    assert reading.splits == {None: 9 + 6 + 5 + 16}
    count = Counter(frame.source for frame in reading.frames.values())
    assert count == {"cadica": 9, "syntax": 6, "xcad": 5, "coronary_dominance": 16}
    assert not any("/test/" in path for path in reading.frames)
    # The same parts read by themselves: same groups, same pixels.
    for name in PARTS:
        for path, frame in read_all(open_source(name, folders[name])).frames.items():
            if frame.split != "test":
                assert reading.frames[f"{name}/{path}"].group == frame.group
                assert reading.frames[f"{name}/{path}"].video == frame.video
    write_raw("xa170k", tmp_path, size=SIZE, defects=False)
    curated = read_all(open_source("xa170k", tmp_path))
    for group in ("cadica/p2", "cadica/p14", "coronary_dominance/Study123"):
        assert group in curated.groups
        assert group in reading.groups


def test_a_folder_of_originals_is_not_mistaken_for_the_curated_download(originals):
    folders = {name: originals / name for name in PARTS}
    expected = read_all(open_source("xa170k", folders))
    found = read_all(open_source("xa170k", originals))
    assert found.frames == expected.frames


def test_options_reach_the_parts(originals):
    folders = {name: originals / name for name in PARTS}
    options = {"cadica_rule": "all", "frames_per_video": 1, "syntax_group": "none"}
    reading = read_all(open_source("xa170k", folders, **options))
    count = Counter(frame.source for frame in reading.frames.values())
    assert count == {"cadica": 16, "syntax": 6, "xcad": 5, "coronary_dominance": 4}
    assert {frame.group for frame in reading.frames.values() if frame.source == "syntax"} == {None}


def test_missing_parts_and_skips_of_the_parts_are_reported(tmp_path):
    layout = write_raw("cadica", tmp_path / "cadica", size=SIZE)
    source = open_source("xa170k", {"cadica": layout.root})
    reading = read_all(source)
    assert reading.splits == layout.frames
    assert reading.skipped == {**layout.skipped, "part of XA-170K missing": 3}
    missing = [path for reason, path in source.report.items if reason.startswith("part of")]
    assert missing == ["syntax", "xcad", "coronary_dominance"]
    others = [path for reason, path in source.report.items if not reason.startswith("part of")]
    assert ("cadica/selectedVideos/notes") in others


def test_only_reserved_studies(tmp_path):
    write_raw("xa170k", tmp_path, size=SIZE)
    keep = read_all(open_source("xa170k", tmp_path, denoising="keep"))
    assert keep.groups["coronary_dominance/Study42"] == 2
    assert set(keep.splits) == {None}
    only = read_all(open_source("xa170k", tmp_path, denoising="only"))
    assert only.groups == {"coronary_dominance/Study42": 2}
    assert only.splits == {"test": 2}


def test_input_errors(tmp_path, originals):
    with pytest.raises(InputError, match="does not look like XA-170K"):
        open_source("xa170k", tmp_path)
    with pytest.raises(InputError, match="did you mean 'coronary_dominance'"):
        open_source("xa170k", {"coronarydominance": originals})
    with pytest.raises(InputError, match="no folder given"):
        open_source("xa170k", {})
    with pytest.raises(InputError, match="does not look like CADICA"):
        open_source("xa170k", {"cadica": originals / "xcad"})
    with pytest.raises(InputError, match="needs the part coronary_dominance"):
        open_source("xa170k", {"cadica": originals / "cadica"}, denoising="only")
    for option, value in (("denoising", "no"), ("cadica_rule", "some"), ("syntax_group", "x")):
        with pytest.raises(InputError, match=f"unknown {option}"):
            open_source("xa170k", originals, **{option: value})
    save(tmp_path / "Cadica" / "p1_v1_00001.png", picture(1))
    with pytest.raises(InputError, match="frames are already selected"):
        open_source("xa170k", tmp_path, cadica_rule="all")
