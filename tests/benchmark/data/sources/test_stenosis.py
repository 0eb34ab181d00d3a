"""The stenosis detection dataset: boxes, both kinds of split, every planted defect counted."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from raw_layouts import picture, save
from reading import read_all

from benchmark.data.formats.voc import read_voc
from benchmark.data.frame import UnreadableFrame
from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw.stenosis import (
    FRAMES,
    PATIENTS,
    frame_name,
    patients_with_stenoses,
)
from benchmark.data.tasks import write_task_folder
from benchmark.errors import InputError


@pytest.mark.parametrize("defects", [True, False], ids=["defects", "clean"])
def test_boxes_equal_the_truth(raw, read, defects):
    written = raw("stenosis", defects)
    source = open_source("stenosis", written.root)
    assert (source.official_split, source.options) == (True, {"split": "official"})
    assert "split by frame" in source.split_note
    assert source.expected == {"frames": 8325, "boxes": 8326}
    reading = read("stenosis", defects)
    paths = {Path(path).stem: path for path in reading.frames}
    patients = itertools.islice(patients_with_stenoses(written), PATIENTS)
    for position, patient in enumerate(patients):
        for number in FRAMES:
            path = paths[Path(frame_name(position, number)).stem]
            frame, boxes = reading.frames[path], reading.annotations[path]
            group = f"stenosis/{position + 2:03d}"
            assert (frame.group, frame.video, frame.frame) == (group, f"{group}/1", number)
            drawn = written.draw(patient, frame=number)
            assert boxes.tolist() == [[*s.box, 0] for s in drawn.stenoses]


def test_planted_boxes(raw, read):
    root = raw("stenosis").root
    reading = read("stenosis")
    truth = {Path(path).stem: boxes.tolist() for path, boxes in reading.annotations.items()}
    whole = [4, 5, 20, 25, 0]
    expected = {
        "14_002_2_0001": [whole, [30, 30, 50, 41, 0]],
        "14_002_2_0002": [whole],
        "14_002_2_0003": [[0, 5, 20, 64, 0]],
        "14_002_2_0004": [whole],
        "14_003_2_0008": [],
        "14_006_2_0020": [whole],
    }
    assert {name: truth[name] for name in expected} == expected
    # The list and the file disagree: the file is taken. The file is missing: the list is.
    assert truth["14_003_2_0006"] == truth["14_003_2_0005"] != [whole]
    fallback = [f for f in reading.frames.values() if not f.annotation.endswith(".xml")]
    assert [frame.frame for frame in fallback] == [9, 10, 11, 20]
    assert fallback[0].annotation == "test_labels.csv#14_004_2_0009"
    # Boxes can be asked of a source that has not been walked, as in another process.
    again = open_source("stenosis", root)
    for frame in fallback:
        assert again.read_boxes(frame).tolist() == truth[Path(frame.path).stem] != []


@pytest.mark.parametrize("defects", [True, False], ids=["defects", "clean"])
def test_split_by_patient_separates_patients(raw, defects):
    root = raw("stenosis", defects).root
    official = list(open_source("stenosis", root).frames())
    by_list = [{f.group for f in official if f.split == split} for split in ("train", "test")]
    assert set.intersection(*by_list), "the official lists are by frame"
    chosen = set()
    for seed in range(6):
        source = open_source("stenosis", root, split="patient", seed=seed)
        assert not source.official_split
        assert "not the authors' split" in source.split_note
        assert source.options == {"split": "patient", "seed": seed}
        frames = list(source.frames())
        assert [frame.path for frame in frames] == [frame.path for frame in official]
        groups = {s: {f.group for f in frames if f.split == s} for s in ("train", "test")}
        assert not groups["train"] & groups["test"]
        size = sum(frame.split == "test" for frame in frames)
        assert abs(size - len(frames) * 833 / 8325) <= 1
        chosen.add(frozenset(groups["test"]))
    # With the defects one patient alone comes nearest; without, any of the ten does.
    assert defects or len(chosen) > 1


def test_root_above_and_below_gives_the_same_frames(raw, tmp_path):
    root = raw("stenosis").root
    expected = list(open_source("stenosis", root).frames())
    for folder in (root.parent, root / "dataset"):
        assert list(open_source("stenosis", folder).frames()) == expected
    # Without the lists there is no split.
    shutil.copytree(root / "dataset", tmp_path / "dataset")
    source = open_source("stenosis", tmp_path)
    assert {frame.split for frame in source.frames()} == {None}
    assert ("no split list", "train_labels.csv") in source.report.items
    assert source.report.counts["no split list"] == 1
    assert "frame not in any split list" not in source.report.counts
    assert not source.official_split


# one annotation


def _voc(folder: Path, content: str | bytes) -> Path:
    path = folder / "a.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
OBJECT = f"<object><name> Stenosis</name>{BOX}</object>"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "damaged annotation"),
        ("<annotation>", "damaged annotation"),
        ("no tags", "damaged annotation"),
        ("<a>\0</a>", "damaged annotation"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "annotation with a DOCTYPE"),
        ('<!doctype a SYSTEM "file:///etc/hostname"><a/>', "annotation with a DOCTYPE"),
        ('<a><![CDATA[x]]><!ENTITY b "c"></a>', "annotation with a DOCTYPE"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"), "damaged annotation"),
        ("<a>&b;</a>", "damaged annotation"),
        ("<a>" + " " * (1 << 20) + "</a>", "annotation too large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_unusable_annotation_has_its_reason(tmp_path, content, reason):
    with pytest.raises(UnreadableFrame) as caught:
        read_voc(_voc(tmp_path, content))
    assert str(caught.value) == reason
    with pytest.raises(UnreadableFrame, match="annotation missing"):
        read_voc(tmp_path / "b.xml")


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251", "bogus"])
def test_encoding_of_the_path_does_not_matter(tmp_path, encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?><a><path>D:\\снимки</path>'
    text += "<size><width>7</width><height> 9 </height></size>" + OBJECT.format(1, 2, 3.5, 4)
    content = (text + "</a>").encode("windows-1251" if encoding != "utf-8" else "utf-8")
    annotation = read_voc(_voc(tmp_path, content))
    assert (annotation.size, annotation.boxes) == ((9, 7), [("stenosis", (1, 2, 3.5, 4))])


def test_deep_nesting_is_handled(tmp_path):
    depth = 100_000
    content = "<a>" * depth + OBJECT.format(1, 2, 3, 4) + "</a>" * depth
    annotation = read_voc(_voc(tmp_path, content))
    assert len(annotation.boxes) == 1


def test_invalid_boxes_have_a_reason(tmp_path):
    edges = [(3, 2, 3, 4), (1, 4, 3, 2), ("nan", 2, 3, 4), ("", 1, 2, 3)]
    content = "".join(OBJECT.format(*four) for four in edges)
    annotation = read_voc(_voc(tmp_path, f"<a>{content}<object/></a>"))
    assert (annotation.size, annotation.boxes) == (None, [])
    reasons = ["box of zero area", "box with swapped corners", *["damaged box"] * 3]
    assert annotation.errors == reasons


# odd lists


def test_lists_with_odd_rows(tmp_path):
    for number in (1, 2, 3):
        save(tmp_path / "images" / f"14_001_1_000{number}.bmp", picture(number), mode="RGB")
    header = "filename,width,height,class,xmin,ymin,xmax,ymax"
    rows = [
        "14_001_1_0001.bmp,48,48,Stenosis,1,2,3,4",
        "14_001_1_0001.bmp,48,48,Stenosis,5,6,7,8",
        "14_001_1_0002.bmp,,,Stenosis,5,6,7,x",
        "../data/14_001_1_0003.bmp,48,48,Stenosis,1,2,3,4",
        "images/14_001_1_0003.bmp,9,9,other,1,2,3,4",
        "short,row",
    ]
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "Train.CSV").write_text("\n".join([header.upper(), *rows]))
    (tmp_path / "lists" / "notes.csv").write_text("a,b\n1,2\n")
    (tmp_path / "lists" / "test.csv").write_text("a,b\n1,2\n")
    source = open_source("stenosis", tmp_path)
    first, *others = source.frames()
    assert source.read_boxes(first).tolist() == [[1, 2, 3, 4, 0], [5, 6, 7, 8, 0]]
    for frame in others:
        with pytest.raises(UnreadableFrame, match="no usable box"):
            source.read_boxes(frame)
    assert source.report.counts == {
        "boxes taken from the list": 3,
        "damaged box": 1,
        "damaged row": 1,
        "file name points outside the folder": 1,
        "listed size differs from the image": 1,
        "object of an unknown class": 1,
        "not a list of train or test": 2,
    }


def _one_frame(root: Path, edges: Sequence[object], name: str = "Stenosis") -> Path:
    """A frame of 48×48 pixels with one box, in both the XML file and the list."""
    save(root / "14_001_1_0001.bmp", picture(1), mode="RGB")
    box = BOX.format(*edges)
    (root / "14_001_1_0001.xml").write_text(f"<a><object><name>{name}</name>{box}</object></a>")
    cells = ",".join(f'"{edge}"' for edge in edges)
    (root / "train_labels.csv").write_text(
        f"filename,width,height,class,xmin,ymin,xmax,ymax\n14_001_1_0001.bmp,48,48,{name},{cells}\n"
    )
    return root


@pytest.mark.parametrize(
    ("edges", "name", "reason"),
    [
        (("10,5", "10,5", "30,5", "30,5"), "Stenosis", "box with decimal commas"),
        ((60, 60, 90, 90), "Stenosis", "box outside the image"),
        ((10, 10, 30, 30), "catheter", "object of an unknown class"),
        ((10, 10, 30, 30), "1: stenosis", "object of an unknown class"),
        ((10, 10, 30, 30), "1", "object of an unknown class"),
    ],
)
def test_a_frame_without_a_usable_box_is_not_empty(tmp_path, edges, name, reason):
    source = open_source("stenosis", _one_frame(tmp_path, edges, name))
    message = f"no usable frame for detection .*{reason}: 1.*the first is 14_001_1_0001.bmp"
    with pytest.raises(InputError, match=message):
        write_task_folder(source, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
    # From the list alone it is the same.
    (tmp_path / "14_001_1_0001.xml").unlink()
    with pytest.raises(InputError, match=f"no usable frame for detection .*{reason}: 1"):
        write_task_folder(source, tmp_path / "out", progress=False)


def test_a_usable_list_replaces_an_unusable_annotation(tmp_path):
    _one_frame(tmp_path, (10, 12, 30, 31))
    for content in (OBJECT.format(0.2, 0.25, 0.6, 0.65), ""):
        (tmp_path / "14_001_1_0001.xml").write_text(f"<a>{content}</a>")
        source = open_source("stenosis", tmp_path)
        (frame,) = source.frames()
        assert source.read_boxes(frame).tolist() == [[10, 12, 30, 31, 0]]
        assert source.report.counts["boxes taken from the list"] == 1


def test_decimal_commas_in_a_list_do_not_shift_columns(tmp_path):
    _one_frame(tmp_path, (10, 12, 30, 31))
    (tmp_path / "14_001_1_0001.xml").unlink()
    listing = tmp_path / "train_labels.csv"
    listing.write_text(listing.read_text().replace('"10","12"', "10,5,12,5"))
    source = open_source("stenosis", tmp_path)
    assert list(source.frames()) == []
    assert source.report.counts == {
        "damaged row": 1,
        "image without an annotation": 1,
        "no split list": 1,
    }


@pytest.mark.parametrize("prefix", ["C:\\data\\", "\\\\server\\data\\"])
def test_a_list_of_windows_paths_is_refused_with_a_hint(tmp_path, prefix):
    listing = _one_frame(tmp_path, (10, 12, 30, 31)) / "train_labels.csv"
    listing.write_text(listing.read_text().replace("14_001_1", f"{prefix}14_001_1"))
    message = r"train_labels\.csv: row 1: .* Windows path; .*, as '14_001_1_0001\.bmp'"
    with pytest.raises(InputError, match=message):
        list(open_source("stenosis", tmp_path).frames())


def test_one_patient_is_not_split(tmp_path):
    save(tmp_path / "14_001_1_0001.bmp", picture(1))
    source = open_source("stenosis", tmp_path, split="patient")
    (tmp_path / "14_001_1_0001.xml").write_text(f"<a>{OBJECT.format(1, 2, 3, 4)}</a>")
    assert [frame.split for frame in source.frames()] == [None]
    assert source.report.counts == {"too few patients to split": 1}


@pytest.mark.skipif("ANGIO_REALDATA" not in os.environ, reason="ANGIO_REALDATA names no folder")
def test_real_pieces_read_without_a_defect():
    source = open_source("stenosis", Path(os.environ["ANGIO_REALDATA"]) / "stenosis")
    reading = read_all(source)
    assert (reading.splits, reading.skipped) == ({None: 3}, {"no split list": 1})
    assert [len(boxes) for boxes in reading.annotations.values()] == [1, 2, 1]
    path = "dataset/14_002_5_0016.bmp"
    frame, boxes = reading.frames[path], reading.annotations[path]
    assert (frame.group, frame.video, frame.frame) == ("stenosis/002", "stenosis/002/5", 16)
    assert boxes.tolist() == [[179, 148, 206, 167, 0]]
