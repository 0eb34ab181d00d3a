"""Datasets that another system has named, or that a cache keeps as links."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from raw_layouts import picture, save
from reading import read_all

from benchmark.data.selection import select_frames
from benchmark.data.sources import open_source
from benchmark.data.tasks.folder import read_groups
from benchmark.errors import InputError

NFC, NFD = (unicodedata.normalize(form, "Müller_1") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("image", "mask", "listed"), [(NFC, NFD, NFD), (NFD, NFC, NFC)])
def test_names_in_different_normal_forms_pair(tmp_path, image, mask, listed):
    save(tmp_path / "train" / "images" / image / f"{image}.png", picture(1))
    save(tmp_path / "train" / "masks" / mask / f"{mask}.png", picture(1) > 90)
    (tmp_path / "patients.csv").write_text(f"name,patient\n{listed}/{listed}.png,{listed}\n")
    source = open_source("paired", tmp_path)
    (frame,) = source.frames()
    assert source.report.counts == {}
    assert frame.path == f"train/images/{image}/{image}.png", "the file can still be opened"
    assert frame.group == f"paired/{NFC}"
    np.testing.assert_array_equal(source.read_masks(frame)[0], picture(1) > 90)


def test_masks_of_dca1_pair_in_every_normal_form(tmp_path):
    save(tmp_path / f"{NFC}.png", picture(1))
    save(tmp_path / f"{NFD}_gt.png", picture(1) > 90)
    source = open_source("dca1", tmp_path)
    assert [frame.path for frame in source.frames()] == [f"{NFC}.png"]
    assert source.report.counts == {}


def test_a_patient_is_excluded_in_every_normal_form(tmp_path):
    for name in (NFC, NFD, "Maier_2"):
        save(tmp_path / "raw" / f"{name}" / "1.png", picture(len(name)))
    source = open_source("folder", tmp_path / "raw", group="folder")
    assert {frame.group for frame in source.frames()} == {f"folder/{NFC}", "folder/Maier_2"}
    for name in (NFC, NFD):
        (tmp_path / "exclude.txt").write_text(f"folder/{name}\n")
        kept = select_frames(source, exclude=read_groups([tmp_path / "exclude.txt"])).frames
        assert [frame.group for frame in kept] == ["folder/Maier_2"]


@pytest.mark.parametrize("windows", ["C:\\data\\train\\1.png", "\\\\server\\data\\1.png"])
def test_lists_with_absolute_windows_paths_are_refused(tmp_path, windows):
    save(tmp_path / "images" / "1.png", picture(1))
    save(tmp_path / "masks" / "1.png", picture(1) > 90)
    (tmp_path / "patients.csv").write_text(f"name,patient\n{windows},A\n")
    with pytest.raises(InputError, match=r"patients\.csv: row 1: .* Windows path"):
        list(open_source("paired", tmp_path).frames())
    video = tmp_path / "CVAI-1001" / "ground_truth" / "CVAI-1001LAO0_CAU29"
    save(video / "1.png", picture(1) > 90)
    (tmp_path / "split.csv").write_text(f"name,split\n{windows},train\n")
    with pytest.raises(InputError, match=r"split\.csv, line 2: .* Windows path"):
        open_source("xcav", tmp_path, split_file=str(tmp_path / "split.csv"))


def _as_hub_cache(raw: Path, cache: Path) -> Path:
    """Files named by their content, and a snapshot of links to them, as huggingface_hub does."""
    for file in sorted(path for path in raw.rglob("*") if path.is_file()):
        content = file.read_bytes()
        blob = cache / "blobs" / hashlib.sha256(content).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link = cache / "snapshots" / "0123abcd" / file.relative_to(raw)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("../" * (len(link.relative_to(cache).parts) - 1) + f"blobs/{blob.name}")
    return cache / "snapshots" / "0123abcd"


@pytest.mark.parametrize("name", ["arcade", "arcade_challenge", "caxf", "stenosis", "xcav"])
def test_a_dataset_of_links_is_the_dataset(raw, read, tmp_path, name):
    links = _as_hub_cache(raw(name).root, tmp_path / "datasets--hub--cache")
    plain, linked = read(name), read_all(open_source(name.partition("_")[0], links))
    assert (linked.splits, linked.skipped) == (plain.splits, plain.skipped)
    assert list(plain.frames.values()) == list(linked.frames.values())
    for path, annotation in plain.annotations.items():
        np.testing.assert_array_equal(linked.annotations[path], annotation)


@pytest.mark.parametrize("name", ["arcade", "xa170k"])
def test_links_to_folders_are_followed(raw, read, tmp_path, name):
    for entry in raw(name, False).root.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    expected = list(read(name, False).frames.values())
    assert list(open_source(name, tmp_path).frames()) == expected
