"""XCAV: annotated frames only, never the catheter's masks, splits by patient or by a list."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from raw_layouts import picture, save

from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw.xcav import ANNOTATED, PATIENTS, VIDEOS
from benchmark.errors import InputError


@pytest.mark.parametrize("defects", [True, False], ids=["defects", "clean"])
def test_masks_are_those_of_the_vessels(raw, read, defects):
    written, reading = raw("xcav", defects), read("xcav", defects)
    checked = 0
    for (index, number), (video, suffix), frame in itertools.product(
        enumerate(PATIENTS), enumerate(VIDEOS), ANNOTATED
    ):
        name = f"CVAI-{number}{suffix}"
        path = f"CVAI-{number}/images/{name}/{frame:05d}.png"
        if path not in reading.frames:
            continue
        found, masks = reading.frames[path], reading.annotations[path]
        group = f"xcav/CVAI-{number}"
        assert (found.group, found.video, found.frame) == (group, f"{group}/{name}", frame)
        vessel = written.draw(index, video, frame).vessel
        if defects and (index, video, frame) == (0, 1, ANNOTATED[1]):
            half = vessel[::2, ::2].astype(np.uint8)
            vessel = cv2.resize(half, (64, 64), interpolation=cv2.INTER_NEAREST_EXACT) > 0
        np.testing.assert_array_equal(masks[0], vessel)
        checked += 1
    assert checked == len(reading.frames)


def test_split_depends_on_the_seed_and_is_not_the_papers(raw):
    tests = set()
    for seed in range(8):
        source = open_source("xcav", raw("xcav").root, seed=seed)
        assert (source.options, source.official_split) == ({"seed": seed}, False)
        assert "not the paper's" in source.split_note
        frames = list(source.frames())
        (patient,) = {frame.group for frame in frames if frame.split == "test"}
        assert {f.group for f in frames if f.split == "train"} == {
            f"xcav/CVAI-{number}" for number in PATIENTS
        } - {patient}
        tests.add(patient)
    assert len(tests) > 1
    assert source.expected == {"frames": 221}


def test_user_defined_split_list(raw, tmp_path):
    root = raw("xcav").root
    path = tmp_path / "split.csv"
    video = f"cvai-1002{VIDEOS[0].lower()}"
    rows = ["CVAI-1253,test", f"{video},test", "CVAI-1002,train", "CVAI-12530,val", "CVAI-9,train"]
    rows.append(f"CVAI-12530{VIDEOS[1]}/{ANNOTATED[0]:05d},train")
    path.write_text("\n".join(rows))
    source = open_source("xcav", root, split_file=str(path))
    split = {(f.video.removeprefix("xcav/CVAI-"), f.frame): f.split for f in source.frames()}
    assert {split[f"1253/CVAI-1253{v}", n] for v in VIDEOS for n in ANNOTATED} == {"test"}
    assert {split[f"1002/CVAI-1002{VIDEOS[0]}", n] for n in ANNOTATED} == {"test"}
    assert {split[f"1002/CVAI-1002{VIDEOS[1]}", n] for n in ANNOTATED} == {"train"}
    assert [split[f"12530/CVAI-12530{VIDEOS[1]}", n] for n in ANNOTATED] == ["train", "val"]
    assert {split[f"{p}/CVAI-{p}{v}", 4] for p in (1001, 1013) for v in VIDEOS} == {None}
    assert source.report.counts["frame not in the split list"] == 8
    assert source.report.counts["listed name without a frame"] == 1
    # The list counts by its content, not by where it lies.
    moved = tmp_path / "moved.csv"
    moved.write_text("# the same\n" + path.read_text())
    again = open_source("xcav", root, split_file=str(moved))
    assert again.options == source.options != open_source("xcav", root).options
    with pytest.raises(InputError, match=r"absent\.csv: no such file"):
        open_source("xcav", root, split_file=str(tmp_path / "absent.csv"))


def test_one_patient_is_not_split(tmp_path):
    folder = tmp_path / "CVAI-0007"
    for kind in ("images", "ground_truth"):
        save(folder / kind / "CVAI-0007LAO0_CAU29" / "00003.PNG", picture(3))
    source = open_source("xcav", tmp_path)
    (frame,) = source.frames()
    assert (frame.split, frame.group, frame.frame) == (None, "xcav/CVAI-0007", 3)
    assert source.report.counts == {"too few patients to split": 1}
