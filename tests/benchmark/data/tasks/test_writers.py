"""Tasks with several classes, with boxes and with noise, read back by pycocotools and by hand."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from raw_layouts import MemorySource, picture

from benchmark.data.denoising import Degradation
from benchmark.data.frame import Frame, UnreadableFrame
from benchmark.data.image_hashes import pixel_sha256
from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.errors import InputError

PICTURES = [picture(seed, 24, 32) for seed in range(12)]


class Segments(MemorySource):
    """Three classes that overlap; the second is absent from every other frame."""

    classes = ("5", "9a", "16")

    def read_masks(self, frame: Frame) -> np.ndarray:
        masks = np.zeros((3, 24, 32), bool)
        masks[0, 4:12, 4:20] = True
        masks[1, 8:16, 10:30] = int(frame.path[:3]) % 2 == 0
        masks[2, 0, 0] = True
        return masks


class Boxes(MemorySource):
    """Two boxes on even frames, none on odd ones."""

    classes = ("stenosis",)

    def read_boxes(self, frame: Frame) -> np.ndarray:
        number = int(frame.path[:3])
        if number == 5:
            raise UnreadableFrame("damaged boxes")
        if number % 2:
            return np.zeros((0, 5))
        return np.array([[1, 2, 11, 8, 0], [3.5, 4, 9, 20.25, 0]])


class Videos(MemorySource):
    """Two studies of two videos; contrast is the number of dark rows."""

    forms = ("pack", "denoising")
    dark = (0, 4, 8, 7, 3, 1)

    def frames(self):
        for video in range(4):
            for number in range(6):
                split = ("train", "test")[video // 2]
                study, name = f"m/{video // 2}", f"{video}{number}0.png"
                yield Frame("memory", name, study, f"{study}/{video}", number, split)

    def read(self, frame: Frame) -> np.ndarray:
        base = PICTURES[int(frame.path[0])] // 2 + 100
        base[: self.dark[frame.frame]] = 10
        return base


def _coco(path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_overlapping_classes_are_kept_exactly(tmp_path):
    folder = write_task_folder(Segments(PICTURES), tmp_path / "t", progress=False)
    assert folder.classes == ["background", "5", "9a", "16"]
    coco = _coco(folder.coco("test"))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["5", "9a", "16"]
    items = folder.splits["test"]
    assert [image["file_name"] for image in coco.dataset["images"]] == [
        f"{item['stem']}.png" for item in items
    ]
    for image, item in zip(coco.dataset["images"], items):
        truth = Segments(PICTURES).read_masks(Frame("memory", item["path"]))
        found = np.zeros_like(truth)
        for annotation in coco.loadAnns(coco.getAnnIds(image["id"])):
            found[annotation["category_id"] - 1] = coco.annToMask(annotation)
            assert annotation["area"] == truth[annotation["category_id"] - 1].sum()
        np.testing.assert_array_equal(found, truth)
        labels = np.asarray(Image.open(folder.mask("test", item["stem"])))
        # The last class wins where several are: rows 8-11, columns 10-19 are the second.
        assert labels[9, 12] == (2 if truth[1].any() else 1)
        assert labels[0, 0] == 3
        assert item["sha256_mask"] == pixel_sha256(labels)
    boxes = {tuple(a["bbox"]) for a in coco.dataset["annotations"] if a["category_id"] == 1}
    assert boxes == {(4, 4, 16, 8)}


def test_boxes_are_coco_boxes_and_a_frame_without_any_stays(tmp_path):
    folder = write_task_folder(Boxes(PICTURES), tmp_path / "t", "detection", progress=False)
    coco = _coco(folder.coco("train"))
    names = {image["id"]: image["file_name"] for image in coco.dataset["images"]}
    assert sorted(names.values()) == [f"{n:03d}.png" for n in (0, 1, 3, 4, 6, 7, 9, 10)]
    even = [i for i, name in names.items() if int(name[:3]) % 2 == 0]
    assert sorted({a["image_id"] for a in coco.dataset["annotations"]}) == even
    first = coco.loadAnns(coco.getAnnIds(even[0]))
    assert [a["bbox"] for a in first] == [[1, 2, 10, 6], [3.5, 4, 5.5, 16.25]]
    assert [a["area"] for a in first] == [60, 5.5 * 16.25]
    assert len({a["id"] for a in coco.dataset["annotations"]}) == 8
    assert folder.manifest["counts"]["boxes"] == 12
    assert folder.manifest["skipped"]["damaged boxes"]["count"] == 1
    report = json.loads((folder.path / "report.json").read_text())
    assert report == {"damaged boxes": {"count": 1, "paths": ["005.png"]}}
    assert folder.splits["train"][0]["boxes"] == [[1, 2, 11, 8, 0], [3.5, 4, 9, 20.25, 0]]


def test_denoising_takes_the_frames_with_most_contrast(tmp_path):
    folder = write_task_folder(
        Videos([]), tmp_path / "t", "denoising", frames_per_group=3, progress=False
    )
    # Two of the first video of a study and one of the second; 8 rows of contrast are most, and the
    # next ones (7 and 4 rows) are too near to it.
    stems = [item["stem"] for item in folder.splits["train"]]
    assert stems == ["020", "050", "120"]
    assert [item["level"] for item in folder.splits["train"]] == [0, 1, 2]
    assert {item["group"] for item in folder.splits["test"]} == {"m/1"}
    item = folder.splits["train"][1]
    clean = np.asarray(Image.open(folder.clean("train", "050")))
    assert item["sha256_image"] == pixel_sha256(clean)
    noise = Degradation().apply(clean, 1, "memory/050.png")
    shown = np.asarray(Image.open(folder.image("train", "050")))
    np.testing.assert_array_equal(shown, noise)
    assert item["sha256_degraded"] == pixel_sha256(shown)
    assert folder.manifest["parameters"]["photons"] == [400.0, 150.0, 60.0]
    other = write_task_folder(
        Videos([]),
        tmp_path / "u",
        "denoising",
        degradation=Degradation(photons=(90.0,)),
        frames_per_group=3,
        progress=False,
    )
    assert other.split_hash != folder.split_hash


def test_a_source_supports_only_what_it_is_annotated_for(tmp_path):
    with pytest.raises(InputError, match="not annotated for denoising; it has segmentation"):
        write_task_folder(MemorySource(PICTURES), tmp_path / "t", "denoising", progress=False)
    (tmp_path / "selectedVideos").mkdir()
    cadica = open_source("cadica", tmp_path)
    with pytest.raises(InputError, match="cadica: not annotated for a task"):
        write_task_folder(cadica, tmp_path / "t", progress=False)
    write_task_folder(Boxes(PICTURES), tmp_path / "t", "detection", progress=False)
    with pytest.raises(InputError, match="a detection task, but segmentation is needed"):
        TaskFolder.open(tmp_path / "t", "segmentation")


def test_an_excluded_patient_is_in_no_split(tmp_path):
    folder = write_task_folder(
        Boxes(PICTURES), tmp_path / "t", "detection", exclude=["memory/1"], progress=False
    )
    groups = {item["group"] for items in folder.splits.values() for item in items}
    assert groups == {"memory/0", "memory/2"}
