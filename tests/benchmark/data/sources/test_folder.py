"""Any folder: images, arrays and DICOM mixed, and how the patient of a file is identified."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from raw_layouts import picture, save
from reading import read_all

from benchmark.data.packs import build_pack
from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw.containers import dicom_bytes
from benchmark.errors import InputError


def test_frames_of_one_file_are_one_video(read):
    frames = read("folder", False, name="clinic-7").frames
    run = [frame for path, frame in frames.items() if path.startswith("export/patient_2/run.dcm")]
    assert [(frame.source, frame.group, frame.video, frame.frame) for frame in run] == [
        ("clinic-7", "clinic-7/patient_2", "clinic-7/export/patient_2/run.dcm", position)
        for position in (0, 1)
    ]
    assert frames["export/patient_2/single/3.png"].video is None


def _groups(folder, source="folder", **options):
    reading = read_all(open_source(source, folder, **options))
    return dict(reading.groups), dict(reading.skipped)


def test_auto_uses_the_first_varying_folder_level_with_digits(tmp_path):
    for path in ("2024/LCA/p1/x.png", "2024/LCA/p2/x.png", "2024/RCA/p1/y.png", "2024/all/z.png"):
        save(tmp_path / path, picture(1))
    # The year is the same for all, the arteries have no digit; one file lies above the patients.
    found = {"folder/p1": 2, "folder/p2": 1, None: 1}
    reported = {"patient unknown": 1}
    assert _groups(tmp_path) == (found, reported)
    assert _groups(tmp_path, group="folder") == (found, reported)
    assert _groups(tmp_path, group="none") == ({None: 4}, {})
    assert _groups(tmp_path, group="patient") == ({None: 4}, {"patient unknown": 4})


def test_prefixes_of_file_names(tmp_path):
    for name in ("012_a", "012-b", "7 c", "IMG_1"):
        save(tmp_path / f"{name}.png", picture(1))
    told = {"folder/012": 2, "folder/7": 1}
    # "IMG" names no patient by itself, but the user may know better.
    assert _groups(tmp_path) == ({**told, None: 1}, {"patient unknown": 1})
    assert _groups(tmp_path, group="prefix") == ({**told, "folder/IMG": 1}, {})
    # One prefix for all files identifies nobody.
    for name in ("2024_1", "2024_2"):
        save(tmp_path / "same" / f"{name}.png", picture(1))
    assert _groups(tmp_path / "same") == ({None: 2}, {"patient unknown": 2})


def test_patients_of_dicom_files_are_hashed(tmp_path):
    pixels = picture(1)
    for number, patient in enumerate(("Doe-77", "Doe-77", "Roe-1")):
        folder = tmp_path / f"series{number}"
        folder.mkdir()
        (folder / "IM1").write_bytes(dicom_bytes(pixels, PatientID=patient))
    doe, roe = (hashlib.sha256(name).hexdigest()[:12] for name in (b"Doe-77", b"Roe-1"))
    hashed = {f"folder/{doe}": 2, f"folder/{roe}": 1}
    assert _groups(tmp_path) == _groups(tmp_path, group="patient") == (hashed, {})
    # An image beside them may be of the same patient: only the folder joins the two.
    save(tmp_path / "series0" / "a.png", pixels)
    assert _groups(tmp_path)[0] == {f"folder/series{n}": 2 if n == 0 else 1 for n in range(3)}


def test_syntax_is_such_a_folder(raw, read, tmp_path):
    reading = read("syntax")
    assert set(reading.groups) == {f"syntax/Patient {number}" for number in (1, 2, 10)}
    assert {frame.source for frame in reading.frames.values()} == {"syntax"}
    # JPEG is lossy.
    found = reading.pixels["SYNTAX/images/Patient 10/colour.JPG"]
    assert np.abs(found.astype(int) - raw("syntax").draw(10, 0).image).mean() < 4
    for name in "abc":
        save(tmp_path / f"{name}.png", picture(1))
    assert _groups(tmp_path, "syntax") == ({None: 3}, {"patient unknown": 3})
    prefixes = {f"syntax/{name}": 1 for name in "abc"}
    assert _groups(tmp_path, "syntax", group="prefix") == (prefixes, {})


def test_files_of_other_types_are_ignored(tmp_path):
    save(tmp_path / "1_a.png", picture(1))
    save(tmp_path / "2_a.png", picture(1))
    (tmp_path / "DICOMDIR").write_bytes(dicom_bytes(picture(1)))
    (tmp_path / "LICENSE").write_text("text")
    (tmp_path / "readme.txt").write_text("text")
    assert _groups(tmp_path) == ({"folder/1": 1, "folder/2": 1}, {})


@pytest.mark.parametrize("root", ["", "train/", "p1/study2/"])
def test_masks_beside_images_are_not_packed_as_frames(tmp_path, root):
    for folder in ("Images", "masks"):
        save(tmp_path / root / folder / "1.png", picture(1))
    source = open_source("folder", tmp_path)
    with pytest.raises(InputError, match=r"masks beside the images; read it with the source pair"):
        build_pack(source, tmp_path / "pack", 32, progress=False)
    assert not (tmp_path / "pack").exists()
    # The images alone can be packed, and a folder named masks elsewhere is no pair.
    assert _groups(tmp_path / root / "Images", group="none") == ({None: 1}, {})
    save(tmp_path / "other" / "masks" / "1.png", picture(1))
    save(tmp_path / "other" / "p1" / "images" / "1.png", picture(1))
    assert _groups(tmp_path / "other", group="none") == ({None: 2}, {})
