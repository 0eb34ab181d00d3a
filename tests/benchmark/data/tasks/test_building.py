"""The plain segmentation folder: what is written, what is refused, what is skipped."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from PIL import Image
from raw_layouts import Interruption, MemorySource, folder_bytes, picture, save, write_dca1

from benchmark.data.image_hashes import pixel_sha256
from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.data.tasks.building import _safe_stem
from benchmark.errors import InputError

PICTURES = [picture(seed, 24, 32) for seed in range(12)]


def _write(source, out, **options):
    return write_task_folder(source, out, "segmentation", "vessels", progress=False, **options)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> TaskFolder:
    """Not to be changed."""
    return _write(MemorySource(PICTURES), tmp_path_factory.mktemp("task") / "seg")


def _sizes(folder: TaskFolder) -> dict[str, int]:
    return {split: len(items) for split, items in folder.splits.items()}


def test_files_hold_native_pixels_and_masks_of_zero_and_one(written):
    assert _sizes(written) == {"train": 8, "test": 4}
    assert written.classes == ["background", "vessel"]
    item = written.splits["test"][0]
    assert (item["stem"], item["group"]) == ("002", "memory/2")
    assert (item["height"], item["width"]) == (24, 32)
    for path, pixels, key in (
        (written.image("test", "002"), PICTURES[2], "sha256_image"),
        (written.mask("test", "002"), (PICTURES[2] < 90).astype(np.uint8), "sha256_mask"),
    ):
        with Image.open(path) as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(np.asarray(image), pixels)
        assert item[key] == pixel_sha256(pixels)
    assert written.manifest["split"] == {"origin": "patient 2 is test", "official": False}
    assert written.manifest["counts"]["expected"] == {"frames": 1000}


def test_defects_are_counted_and_strict_leaves_nothing(tmp_path):
    raw = write_dca1(tmp_path / "raw", pairs=8)
    save(raw / "2_gt.png", picture(0, 10, 10))
    (raw / "3_gt.png").unlink()
    (raw / "4.png").write_bytes(b"")
    save(raw / "5.png", np.full((48, 48), 7, np.uint8))
    folder = _write(open_source("dca1", raw), tmp_path / "seg")
    assert {reason: entry["count"] for reason, entry in folder.manifest["skipped"].items()} == {
        "image without a mask": 1,
        "mask and image differ in size": 1,
        "empty file": 1,
        "constant image": 1,
    }
    assert folder.manifest["skipped"]["constant image"]["examples"] == ["5.png"]
    assert _sizes(folder) == {"train": 3, "test": 1}
    for out, message in (("seg", "strict, but frames were"), ("other", "strict: 1 skipped")):
        with pytest.raises(InputError, match=message):
            _write(open_source("dca1", raw), tmp_path / out, strict=True)
    (raw / "3.png").unlink()
    with pytest.raises(InputError, match="strict: 3 skipped"):
        _write(open_source("dca1", raw), tmp_path / "other", strict=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "seg"]


def test_a_finished_folder_is_returned_and_another_task_is_refused(written):
    source = MemorySource(PICTURES)
    assert _write(source, written.path).split_hash == written.split_hash
    assert source.reads == 0
    with pytest.raises(InputError, match="already holds"):
        _write(MemorySource(PICTURES[:6]), written.path)


def test_an_interrupted_folder_is_rebuilt_and_foreign_files_are_kept(written, tmp_path):
    with pytest.raises(Interruption):
        _write(MemorySource(PICTURES, stop_at=7), tmp_path / "seg")
    assert list(tmp_path.iterdir()) == []
    save(tmp_path / "seg.partial" / "images" / "train" / "half.png", PICTURES[0])
    _write(MemorySource(PICTURES), tmp_path / "seg")
    assert folder_bytes(tmp_path / "seg") == folder_bytes(written.path)
    (tmp_path / "third.partial").mkdir()
    (tmp_path / "third.partial" / "thesis.txt").touch()
    with pytest.raises(InputError, match="not written by us"):
        _write(MemorySource(PICTURES), tmp_path / "third")
    assert (tmp_path / "third.partial" / "thesis.txt").exists()


def test_val_consists_of_complete_groups_and_has_the_requested_size(tmp_path):
    folder = _write(MemorySource(PICTURES), tmp_path / "seg", val_fraction=0.5)
    groups = {split: {i["group"] for i in items} for split, items in folder.splits.items()}
    assert groups["test"] == {"memory/2"}
    assert len(groups["train"]) == len(groups["val"]) == 1
    assert not groups["train"] & groups["val"]
    assert "not the paper's" in folder.manifest["split"]["origin"]
    for fraction, message in ((1.0, "below 1"), (-0.1, "at least 0")):
        with pytest.raises(InputError, match=message):
            _write(MemorySource(PICTURES), tmp_path / "other", val_fraction=fraction)
    # Without groups by frame.
    raw = write_dca1(tmp_path / "raw", pairs=40)
    folder = _write(open_source("dca1", raw), tmp_path / "dca1", val_fraction=0.2)
    assert _sizes(folder) == {"train": 24, "val": 6, "test": 10}


def test_stems_are_safe_and_unique():
    paths = ["a b.png", "a-b.png", "A-B.PNG", "../x.png", "x/y.png", "x__y.png", "ü", "v1.2"]
    taken: set[str] = set()
    stems = [_safe_stem(path, taken) for path in paths]
    assert (stems[1], stems[4], stems[7]) == ("a-b", "x__y", "v1.2")
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", stem) for stem in stems)
    assert len({stem.casefold() for stem in stems}) == len(paths)


def test_open_names_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        TaskFolder.open(tmp_path / "seg")
    with pytest.raises(InputError, match="not a task folder"):
        TaskFolder.open(tmp_path)
    save(tmp_path / "thesis" / "chapter.png", PICTURES[0])
    with pytest.raises(InputError, match="not a task folder, and not empty; choose another"):
        _write(MemorySource(PICTURES), tmp_path / "thesis")
    folder = _write(MemorySource(PICTURES), tmp_path / "seg")
    folder.mask("train", "004").rename(tmp_path / "004.png")
    with pytest.raises(InputError, match=r"masks/train/004\.png: missing"):
        TaskFolder.open(tmp_path / "seg")
    (tmp_path / "004.png").rename(folder.mask("train", "004"))
    manifest = json.loads((tmp_path / "seg" / "manifest.json").read_text())
    manifest["splits"]["train"].append(manifest["splits"]["test"].pop())
    (tmp_path / "seg" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="changed by hand"):
        TaskFolder.open(tmp_path / "seg")


def test_split_hash_follows_pixels(written, tmp_path):
    changed = [picture.copy() for picture in PICTURES]
    changed[5][0, 0] ^= 1
    assert _write(MemorySource(changed), tmp_path / "b").split_hash != written.split_hash


def test_frames_without_masks_are_refused(tmp_path):
    class Unlabelled(MemorySource):
        def frames(self):
            return (dataclasses.replace(frame, annotation=None) for frame in super().frames())

    with pytest.raises(InputError, match=r"no usable frame for segmentation \(none of 12 frames"):
        _write(Unlabelled(PICTURES), tmp_path / "seg")
    assert list(tmp_path.iterdir()) == []
