"""Which frames a command line names, and how their outputs are called."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.selection import read_usable
from benchmark.data.synthetic.raw.containers import dicom_bytes, npy_bytes, npz_bytes
from benchmark.downstream.prediction.frames import list_frames, output_names, refuse_inside
from benchmark.errors import InputError

RUN = (np.arange(2 * 6 * 8).reshape(2, 6, 8) * 2).astype(np.uint8)


def save(path: Path, pixels: np.ndarray = RUN[0]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Images, an npz, an npy and a DICOM video, in folders."""
    folder = tmp_path / "mixed"
    save(folder / "p1" / "b10.png")
    save(folder / "p1" / "b9.png", RUN[1])
    (folder / "p2").mkdir()
    (folder / "p2" / "run.npz").write_bytes(npz_bytes(pixel_array=RUN))
    (folder / "p2" / "still.npy").write_bytes(npy_bytes(RUN[1]))
    (folder / "p2" / "IM0001").write_bytes(dicom_bytes(RUN))
    (folder / "p2" / "notes.txt").write_text("no frame")
    return folder


NAMES = {
    "p1/b9.png": "p1/b9",
    "p1/b10.png": "p1/b10",
    "p2/IM0001#00000": "p2/IM0001/00000",
    "p2/IM0001#00001": "p2/IM0001/00001",
    "p2/run.npz#00000": "p2/run/00000",
    "p2/run.npz#00001": "p2/run/00001",
    "p2/still.npy#00000": "p2/still",
}


def test_a_folder_is_read_at_any_depth_in_natural_order(mixed):
    found = list_frames([mixed])
    assert {frame.path: frame.name for frame in found} == NAMES
    assert [frame.path for frame in found] == list(NAMES)
    pixels = {one.path: read_usable(one.source, one.frame) for one in found}
    np.testing.assert_array_equal(pixels["p1/b9.png"], RUN[1])
    for file in ("p2/IM0001", "p2/run.npz"):
        np.testing.assert_array_equal([pixels[f"{file}#00000"], pixels[f"{file}#00001"]], RUN)
    np.testing.assert_array_equal(pixels["p2/still.npy#00000"], RUN[1])


def test_files_and_folders_share_one_tree_and_count_once(mixed, tmp_path, monkeypatch):
    other = save(tmp_path / "other" / "b9.png")
    found = list_frames([mixed / "p1", other, mixed / "p1" / "b9.png", other])
    paths = ["mixed/p1/b9.png", "mixed/p1/b10.png", "other/b9.png"]
    assert [frame.path for frame in found] == paths
    monkeypatch.chdir(mixed / "p1")
    assert [frame.path for frame in list_frames(["b9.png"])] == ["b9.png"]
    assert [frame.path for frame in list_frames(["b9.png", "../p2/still.npy"])] == [
        "p1/b9.png",
        "p2/still.npy#00000",
    ]


def test_what_cannot_be_read_is_listed_with_its_reason(tmp_path):
    save(tmp_path / "good.png")
    (tmp_path / "broken.npz").write_bytes(b"PK damaged")
    (tmp_path / "video.mp4").write_bytes(b"\0" * 200)
    (tmp_path / "text").write_text("no frame")
    (tmp_path / "ct.dcm").write_bytes(dicom_bytes(RUN, Modality="CT", SOPClassUID="1.2"))
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = list_frames(sorted(tmp_path.iterdir()))
    reasons = {frame.path: frame.error for frame in found}
    assert reasons["good.png"] is None
    assert reasons["video.mp4"] == "not an avi, mp4 or mov file"
    assert reasons["text"].startswith("neither an image, an npy or npz array, an avi, mp4 or mov")
    assert reasons["ct.dcm"] == "DICOM modality is not XA"
    assert reasons["broken.npz"] == "not an npz file"
    # An image is opened only when it is its turn.
    assert reasons["gone.png"] is None
    assert len({frame.name for frame in found}) == len(found) == 6


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such file or folder"):
        list_frames([tmp_path / "nowhere"])
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("a")
    with pytest.raises(InputError, match=r"text: not a folder of images"):
        list_frames([tmp_path / "text"])
    for name in ("images", "masks"):
        save(tmp_path / "set" / name / "1.png")
    with pytest.raises(InputError, match="holds masks beside the images"):
        list_frames([tmp_path / "set"])
    assert len(list_frames([tmp_path / "set" / "images"])) == 1


def test_outputs_must_not_become_inputs(tmp_path):
    (tmp_path / "in").mkdir()
    file = save(tmp_path / "a.png")
    for out in ("in", "in/out", "in/../in/deep/out"):
        with pytest.raises(InputError, match="which is read; choose another folder"):
            refuse_inside(tmp_path / out, [file, tmp_path / "in"])
    refuse_inside(tmp_path / "out", [file, tmp_path / "in"])


CASES = [
    (["a.png", "b/c.JPG", "1.2.840.113"], ["a", "b/c", "1.2.840.113"]),
    # Where endings differ, all of them are kept.
    (["x.png", "x.jpg", "y.png"], ["x.png", "x.jpg", "y"]),
    (["r.npz#00000", "r.npz#00001", "r.npy#00000"], ["r/00000", "r/00001", "r"]),
    (["r.mp4#00000", "r.mp4#00001", "s.AVI#00000"], ["r/00000", "r/00001", "s"]),
    (
        ["r.npz#00000", "r.npz#00001", "r.dcm#00000", "r.dcm#00001"],
        ["r.npz/00000", "r.npz/00001", "r.dcm/00000", "r.dcm/00001"],
    ),
]


@pytest.mark.parametrize(("paths", "names"), CASES)
def test_names_mirror_the_inputs(paths, names):
    assert output_names(paths) == names


@pytest.mark.parametrize(
    "paths",
    [
        ["x.png", "x.jpg", "x.png.png", "x.png.bmp"],
        ["A.png", "a.png", "a.jpg"],
        ["a.jpg", "a.png/b.jpg"],
        ["v.npz#00000", "v.npz#00001", "v/00000.png", "v.npz/00000.png"],
        [f"{'n' * 250}{end}" for end in (".png", ".jpg")],
        ["é.png", "é.jpg", "e\u0301.png"],
    ],
)
def test_outputs_never_share_a_file_nor_stand_in_the_way(paths, tmp_path):
    """All can be written, also where case and the form of accents are ignored."""
    names = output_names(paths)
    assert names == output_names(paths[::-1])[::-1]
    plain = [unicodedata.normalize("NFC", name.casefold()) for name in names]
    for name in plain:
        file = tmp_path / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(exist_ok=False)


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_not_unicode_is_one_of_the_reasons(tmp_path):
    save(tmp_path / "good.png")
    Image.fromarray(RUN[0]).save(os.fsdecode(os.fsencode(tmp_path) + b"/b\xe9.png"))
    good, bad = sorted(list_frames([tmp_path]), key=lambda frame: frame.error or "")
    assert (good.path, bad.error) == ("good.png", "name is not Unicode")
    bad.path.encode()
