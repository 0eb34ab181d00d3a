"""XA-170K: the curated download, and its assembly from the four originals."""

from __future__ import annotations

from collections import Counter

import pytest
from raw_layouts import picture, save
from reading import read_all

from benchmark.data.sources import SOURCES, open_source
from benchmark.errors import InputError

PARTS = ("cadica", "syntax", "xcad", "coronary_dominance")


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


def test_options_reach_the_parts(originals):
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


def test_only_reserved_studies(read):
    keep = read("xa170k", denoising="keep")
    assert keep.groups["coronary_dominance/Study42"] == 2
    assert set(keep.splits) == {None}
    only = read("xa170k", denoising="only")
    assert only.groups == {"coronary_dominance/Study42": 2}
    assert only.splits == {"test": 2}


def test_input_errors(tmp_path, originals):
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
