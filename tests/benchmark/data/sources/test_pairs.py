"""Images with vessel masks: CAXF and any paired folders, DCA1, XCAD."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_layouts import picture, save, write_dca1
from reading import read_all

from benchmark.data.frame import UnreadableFrame
from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw.pairs import PATIENTS_OF_SPLIT
from benchmark.errors import InputError

VESSEL = picture(2) < 90


def _pair(root, name, mask=VESSEL):
    save(root / "images" / f"{name}.png", picture(1))
    save(root / "masks" / f"{name}.png", mask)


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


def test_names_of_split_folders_and_nested_files(tmp_path):
    for folder in ("Training", "validation", "TEST"):
        _pair(tmp_path / "data" / folder, "p1/1")
        _pair(tmp_path / "data" / folder, "p2/1")
    (tmp_path / "data" / "test_notes").mkdir()
    frames = list(open_source("caxf", tmp_path).frames())
    assert [frame.split for frame in frames] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    assert frames[1].path == "Training/images/p2/1.png"
    assert frames[1].annotation == "Training/masks/p2/1.png"
    shutil.rmtree(tmp_path / "data" / "Training")
    source = open_source("caxf", tmp_path)
    assert not source.official_split
    assert "337" not in source.split_note
    _pair(tmp_path / "plain", "1")
    assert [frame.split for frame in open_source("paired", tmp_path / "plain").frames()] == [None]


def test_list_of_patients(tmp_path):
    for split in ("train", "test"):
        for name in ("1", "4.2"):
            _pair(tmp_path / split, name)
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


LEVELS = (
    ([0, 0, 0, 0, 0], [False] * 5),
    ([1, 1, 0, 0, 0], [True, True, False, False, False]),
    ([1, 2, 127, 128, 255], [False, False, False, True, True]),
    ([1, 2, 127, 0, 0], "mask: values neither 0 and 1 nor above 127"),
)


def test_dca1_pairs_split_and_threshold(tmp_path):
    write_dca1(tmp_path / "Database_134_Angiograms", pairs=40)
    source = open_source("dca1", tmp_path)
    frames = list(source.frames())
    assert source.report.counts == {}
    assert [frame.path for frame in frames[:2] + frames[-1:]] == ["1.png", "2.png", "40.png"]
    assert [frame.split for frame in frames] == ["train"] * 30 + ["test"] * 10
    assert {frame.group for frame in frames} == {None}
    for levels, expected in LEVELS:
        save(source.root / "1_gt.png", np.array([levels], np.uint8))
        try:
            found = source.read_masks(frames[0])[0, 0].tolist()
        except UnreadableFrame as error:
            found = str(error)
        assert found == expected


def test_masks_of_dca1_in_every_encoding(raw, read):
    for path, mask in read("dca1").annotations.items():
        if path not in ("11.pgm", "12.pgm"):  # whose images are damaged
            vessel = raw("dca1").draw(int(Path(path).stem)).vessel
            np.testing.assert_array_equal(mask, vessel[None])


def test_masks_of_dca1_do_not_affect_the_white_level_of_images(tmp_path):
    values = np.arange(4000, dtype=np.uint16).reshape(40, 100)
    for number in (1, 2):
        Image.fromarray(values + number).save(tmp_path / f"{number}.png")
        mask = np.where(values > 2000, 65535, 0).astype(np.uint16)
        Image.fromarray(mask).save(tmp_path / f"{number}_gt.png")
    source = open_source("dca1", tmp_path)
    for number, frame in enumerate(source.frames(), start=1):
        expected = np.rint((values + number) * (255 / 4095))
        np.testing.assert_array_equal(source.read(frame), expected)
        np.testing.assert_array_equal(source.read_masks(frame)[0], values > 2000)


def test_a_second_walk_starts_a_new_report(raw):
    source = open_source("dca1", raw("dca1").root)
    first = list(source.frames()), source.report.items
    assert (list(source.frames()), source.report.items) == first
    assert first[1]


@pytest.mark.skipif("ANGIO_REALDATA" not in os.environ, reason="ANGIO_REALDATA names no folder")
def test_a_real_piece_of_dca1():
    reading = read_all(open_source("dca1", Path(os.environ["ANGIO_REALDATA"]) / "dca1"))
    assert (reading.splits, reading.skipped) == ({"train": 30, "test": 10}, {})
    for path, vessel in reading.annotations.items():
        assert vessel.shape == (1, *reading.pixels[path].shape) == (1, 300, 300)
        assert 0.02 < vessel.mean() < 0.3


def test_masks_and_sequences_of_xcad(raw, read):
    reading, written = read("xcad"), raw("xcad")
    assert not any("trainA" in path or "trainC" in path for path in reading.frames)
    test = [frame for frame in reading.frames.values() if frame.split == "test"]
    assert [(frame.group, frame.frame) for frame in test] == [
        ("xcad/00018", 33),
        ("xcad/00018", 40),
        ("xcad/00031", 5),
        ("xcad/12241", 33),
        (None, None),
    ]
    # A mask of 0 and 1, and one with a soft edge.
    for name, drawn in (("00018_40", written.draw(20, 1)), ("00031_5", written.draw(6))):
        mask = reading.annotations[f"test/images/{name}.png"]
        np.testing.assert_array_equal(mask, drawn.vessel[None])
    assert open_source("xcad", written.root).pack_splits == ("train",)


def test_renamed_copies_and_single_halves_of_xcad(tmp_path):
    renamed, flat, other = (tmp_path / name for name in "abc")
    for number in range(3):
        save(renamed / "train" / "img" / f"{number}.png", picture(number))
        save(renamed / "Test" / "img" / f"0001{number}_3.png", picture(number))
        save(renamed / "Test" / "gt" / f"0001{number}_3.png", VESSEL)
        save(flat / "train" / f"{number}.png", picture(number))
    assert read_all(open_source("xcad", renamed)).splits == {"train": 3, "test": 3}
    assert read_all(open_source("xcad", flat)).splits == {"train": 3}
    shutil.rmtree(renamed / "train")
    assert read_all(open_source("xcad", renamed)).splits == {"test": 3}
    # Images beside trainA alone are not those of trainB.
    save(other / "train" / "trainA" / "1.png", picture(1))
    with pytest.raises(InputError, match="does not look like XCAD"):
        open_source("xcad", other)
    shutil.rmtree(renamed / "Test" / "gt")
    reading = read_all(open_source("xcad", renamed))
    assert (len(reading.frames), reading.skipped) == (0, {"image without a mask": 3})
