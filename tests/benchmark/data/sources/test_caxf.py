"""CAXF and any data laid out as paired folders."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from raw_layouts import picture, save
from reading import read_all

from benchmark.data.frame import UnreadableFrame
from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw.pairs import PATIENTS_OF_SPLIT
from benchmark.errors import InputError


@pytest.mark.parametrize("options", [{}, {"name": "our-clinic"}], ids=["caxf", "paired"])
def test_counts_masks_and_patients(raw, options):
    written = raw("caxf")
    source = open_source("paired" if options else "caxf", written.root, **options)
    name = options.get("name", "caxf")
    assert (source.name, source.task, source.official_split) == (name, name, not options)
    assert source.expected == ({} if options else {"frames": 538})
    assert ("337 and 201" in source.split_note) == (not options)
    reading = read_all(source)
    assert (reading.splits, reading.skipped) == (written.frames, written.skipped)
    for split, patients in PATIENTS_OF_SPLIT.items():
        for patient in patients:
            path = f"{split}/images/{split}_{patient}.png"
            frame, (mask,) = reading.frames[path], reading.annotations[path]
            assert (frame.split, frame.group) == (split, f"{name}/P{patient}")
            np.testing.assert_array_equal(mask, written.draw(patient).vessel)


def _pair(root, name, mask, image=None):
    save(root / "images" / f"{name}.png", picture(1) if image is None else image)
    return save(root / "masks" / f"{name}.png", mask)


def test_threshold_and_refused_masks(tmp_path):
    levels = np.zeros((48, 48), dtype=np.uint8)
    _pair(tmp_path / "test", "empty", levels)
    levels[0, :2] = 1
    _pair(tmp_path / "test", "binary", levels)
    levels[0, :5] = [1, 2, 127, 128, 255]
    _pair(tmp_path / "test", "levels", levels)
    levels[0, 3:] = 0
    _pair(tmp_path / "test", "odd", levels)
    source = open_source("paired", tmp_path)
    frames = {frame.path: frame for frame in source.frames()}

    def row(name):
        return source.read_masks(frames[f"test/images/{name}.png"])[0, 0, :5].tolist()

    assert row("empty") == [False] * 5
    assert row("binary") == [True, True, False, False, False]
    assert row("levels") == [False, False, False, True, True]
    with pytest.raises(UnreadableFrame, match="neither 0 and 1 nor above 127"):
        row("odd")


def test_names_of_split_folders_and_nested_files(tmp_path):
    mask = np.uint8(255) * (picture(2) < 90)
    for folder in ("Training", "validation", "TEST"):
        _pair(tmp_path / "data" / folder, "p1/1", mask)
        _pair(tmp_path / "data" / folder, "p2/1", mask)
    (tmp_path / "data" / "test_notes").mkdir()
    frames = list(open_source("caxf", tmp_path).frames())
    assert [frame.split for frame in frames] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    assert frames[1].path == "Training/images/p2/1.png"
    assert frames[1].annotation == "Training/masks/p2/1.png"
    shutil.rmtree(tmp_path / "data" / "Training")
    source = open_source("caxf", tmp_path)
    assert not source.official_split
    assert "337" not in source.split_note
    _pair(tmp_path / "plain", "1", mask)
    assert [frame.split for frame in open_source("paired", tmp_path / "plain").frames()] == [None]


def test_list_of_patients(tmp_path):
    mask = np.uint8(255) * (picture(2) < 90)
    for split in ("train", "test"):
        for name in ("1", "4.2"):
            _pair(tmp_path / split, name, mask)
    (tmp_path / "Patients.CSV").write_text("patient;name\nA;train/1\nB;test\\1.png\nC;4.2\n")
    source = open_source("paired", tmp_path)
    groups = {frame.path: frame.group for frame in source.frames()}
    assert groups == {
        "train/images/1.png": "paired/A",
        "train/images/4.2.png": "paired/C",
        "test/images/1.png": "paired/B",
        "test/images/4.2.png": "paired/C",
    }
    assert source.report.counts == {"patient in two splits": 1}
    (tmp_path / "Patients.CSV").write_text("file,id\n1,A\n")
    with pytest.raises(InputError, match=r"Patients\.CSV: the first line must be name,patient"):
        list(source.frames())


def test_input_errors(tmp_path):
    (tmp_path / "train" / "images").mkdir(parents=True)
    with pytest.raises(InputError, match="does not look like caxf"):
        open_source("caxf", tmp_path)
    with pytest.raises(InputError, match="name 'A/B': use lower-case letters"):
        open_source("paired", tmp_path, name="A/B")
