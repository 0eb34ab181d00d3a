"""Checking tasks: a complete one is clean, and every planted defect is named and counted."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checked_source import Pictures, check, edit_manifest, reasons
from PIL import Image
from raw_layouts import picture

from benchmark.data.frame import Frame
from benchmark.data.image_hashes import pixel_sha256
from benchmark.data.task_status import split_hash
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.errors import InputError


def make_task(tmp_path: Path, kind: str, **options: Any) -> TaskFolder:
    return write_task_folder(Pictures(**options), tmp_path / kind, kind, progress=False)


@pytest.mark.parametrize(
    ("kind", "classes", "counts"),
    [
        ("segmentation", ("vessel",), {"frames without a label": 1}),
        (
            "segmentation",
            ("LAD", "LCX", "RCA"),
            {"frames without a label": 1, "frames with overlapping classes": 5},
        ),
        ("detection", ("stenosis",), {"boxes": 6, "frames without a box": 2}),
    ],
)
def test_a_complete_task_is_clean(tmp_path, kind, classes, counts):
    found = check(make_task(tmp_path, kind, classes=classes).path)
    assert (found.errors, found.warnings) == ([], [])
    everywhere = {"  test": 2, "  train": 4, "groups": 3, "frames without a group": 0}
    assert found.counts == {"frames": 6, **everywhere, **counts}


FRAMES = ("test/4", "test/5", "train/0", "train/1", "train/2", "train/3")
BOXED = [FRAMES[n] for n in (0, 1, 3, 4)]


@pytest.mark.parametrize(
    ("kind", "change", "warnings"),
    [
        (
            "segmentation",
            np.logical_not,
            [("mask: more than half of the frame", f"masks/{name}.png") for name in FRAMES],
        ),
        (
            "segmentation",
            np.zeros_like,
            [("no frame has a label", "segmentation: frames without a label 6")],
        ),
        (
            "detection",
            lambda boxes: boxes[:0],
            [("no frame has a box", "detection: frames without a box 6")],
        ),
        (
            "detection",
            lambda boxes: boxes / [48, 40, 48, 40, 1],
            [("box: narrower than one pixel", f"{where}, box 0") for where in BOXED],
        ),
    ],
)
def test_implausible_labels_are_a_warning(tmp_path, kind, change, warnings):
    class Changed(Pictures):
        def read_masks(self, frame: Frame) -> np.ndarray:
            return change(super().read_masks(frame))

        def read_boxes(self, frame: Frame) -> np.ndarray:
            return change(super().read_boxes(frame))

    found = check(write_task_folder(Changed(), tmp_path / kind, kind, progress=False).path)
    assert (found.errors, found.warnings) == ([], warnings)


@pytest.mark.parametrize("official", [False, True])
def test_split_overlap_is_an_error_unless_published(tmp_path, official):
    class Twice(Pictures):
        official_split = official

        def read(self, frame: Frame) -> np.ndarray:
            return picture(0 if frame.path == "5.png" else int(frame.path[0]), 40, 48)

    folder = write_task_folder(Twice(splits="aaabbb"), tmp_path / "task", progress=False)
    found = check(folder.path)
    overlap = [
        ("same image in two splits", "0.png = 5.png (test, train)"),
        ("group in two splits", "pictures/1 (test, train)"),
    ]
    both = (found.errors, found.warnings)
    assert both == (([], overlap) if official else (overlap, []))


def _save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def _relabel(folder: TaskFolder, value: int) -> None:
    """Change a value in a mask, and its hash in the manifest."""
    file = folder.mask("train", "0")
    labels = np.array(Image.open(file))
    labels[0, 5] = value
    _save(file, labels)
    _relist(folder, sha256_mask=pixel_sha256(labels))


def _relist(folder: TaskFolder, **changes: Any) -> None:
    """Change the first training item in the manifest, and the manifest's hash."""

    def edit(manifest: dict[str, Any]) -> None:
        manifest["splits"]["train"][0].update(changes)
        known = (manifest["kind"], manifest["classes"], manifest["splits"])
        manifest["split_hash"] = split_hash(*known)

    edit_manifest(folder.path, edit)


OTHER_IMAGE, OTHER_MASK = (f"{what}: pixels differ from their hash" for what in ("image", "mask"))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda f: f.image("train", "0").write_bytes(b"\x89PNG"), {"image: not an image": 1}),
        (lambda f: f.mask("train", "0").write_bytes(b""), {"mask: empty file": 1}),
        (lambda f: _save(f.image("test", "4"), picture(9, 40, 48)), {OTHER_IMAGE: 1}),
        (
            lambda f: _save(f.image("test", "4"), np.full((40, 48), 7)),
            {OTHER_IMAGE: 1, "image: constant": 1},
        ),
        (
            lambda f: _save(f.mask("test", "4"), np.ones((40, 47))),
            {"mask: size differs from the manifest": 1},
        ),
        (lambda f: _save(f.mask("test", "4"), np.ones((40, 48))), {OTHER_MASK: 1}),
        (lambda f: _relabel(f, 2), {"mask: value is not a class label": 1}),
        (lambda f: _relabel(f, 1), {}),
        (lambda f: _relist(f, path="1.png"), {"duplicate entry": 1}),
    ],
)
def test_damage_to_a_segmentation_is_named(tmp_path, damage, expected):
    folder = make_task(tmp_path, "segmentation")
    damage(folder)
    assert reasons(check(folder.path)) == expected


def test_path_traversal_is_refused(tmp_path):
    folder = make_task(tmp_path, "segmentation")
    for kind in ("images", "masks"):
        shutil.copy(folder.image("train", "0"), folder.path / kind / "0.png")
    _relist(folder, stem="../0")
    with pytest.raises(InputError, match=r"stem' must be the name of a file, found '\.\./0'"):
        check(folder.path)


def test_missing_files_and_foreign_folders(tmp_path):
    folder = make_task(tmp_path, "segmentation")
    (folder.path / "images" / "train" / "extra.png").touch()
    assert check(folder.path).warnings == [("unlisted file", "images/train/extra.png")]
    folder.mask("test", "5").unlink()
    assert check(folder.path).errors == [("mask: file missing", "masks/test/5.png")]
    for path, message in ((tmp_path, "not a task folder"), (tmp_path / "absent", "no such folder")):
        with pytest.raises(InputError, match=message):
            check(path)


def _edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda c: c["annotations"].pop(0),
            ["masks differ from their hash", "masks differ from the label map"],
        ),
        (
            # Hidden in the label map, because a later class covers it.
            lambda c: c["annotations"][0].update(segmentation=c["annotations"][1]["segmentation"]),
            ["masks differ from their hash", "masks differ from the label map"],
        ),
        (
            lambda c: c["annotations"][0]["segmentation"].update(size=[48, 40]),
            ["not a mask of this frame"],
        ),
        (
            lambda c: c["annotations"][0]["segmentation"].update(size=[10**6, 10**6]),
            [
                "damaged run lengths",
                "masks differ from their hash",
                "masks differ from the label map",
            ],
        ),
        (
            lambda c: c["images"][1].update(file_name="../x.png"),
            ["file name points outside the folder", "frame is missing"],
        ),
        (lambda c: c["annotations"][1].update(id=1), ["duplicate annotation id"]),
    ],
)
def test_damage_to_multi_class_masks_is_named(tmp_path, change, expected):
    folder = make_task(tmp_path, "segmentation", classes=("LAD", "LCX"))
    _edit_json(folder.coco("train"), change)
    assert reasons(check(folder.path)) == {f"annotations: {reason}": 1 for reason in expected}


def test_annotations_that_are_not_json(tmp_path):
    for kind, classes in (("segmentation", ("LAD", "LCX")), ("detection", ("stenosis",))):
        folder = make_task(tmp_path, kind, classes=classes)
        folder.coco("test").write_text("[")
        assert reasons(check(folder.path))["annotations: cannot be read"] == 1


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_detection_file_differs_from_the_manifest(tmp_path, key):
    folder = make_task(tmp_path, "detection")
    _edit_json(folder.coco("train"), lambda content: content[key][-1].update(id=77))
    assert check(folder.path).errors == [
        (f"annotations: {key} differ from the manifest", "train.json")
    ]


def test_bad_boxes_are_named_once(tmp_path):
    folder = make_task(tmp_path, "detection", classes=("stenosis", "occlusion"))
    good = [[0, 0, 48, 40, 1], [0.5, 0, 2, 40.0, 0]]
    bad = [
        ([0, 0, 48.01, 40, 0], "exceeds the image"),
        ([-1, 0, 4, 4, 0], "exceeds the image"),
        ([4, 0, 4, 4, 0], "zero area"),
        ([4, 9, 8, 4, 0], "zero area"),
        ([0, 0, 4, 4, 2], "not a class label"),
        ([0, 0, 4, 4, 0.5], "not a class label"),
    ]
    _relist(folder, boxes=[*good, *(box for box, _ in bad)])
    assert check(folder.path).errors == [
        (f"box: {reason}", f"train/0, box {number}") for number, (_, reason) in enumerate(bad, 2)
    ]


def test_denoising_task(tmp_path):
    folder = make_task(tmp_path, "denoising", splits="aaaaaabb")
    intact = check(folder.path)
    assert (intact.errors, intact.warnings) == ([], [])
    assert intact.counts["  train"] == len(folder.splits["train"]) >= 2
    first, second = (item["stem"] for item in folder.splits["train"][:2])
    clean = np.asarray(Image.open(folder.clean("train", first)))
    shutil.copy(folder.clean("train", first), folder.image("train", first))
    _relist(folder, sha256_degraded=pixel_sha256(clean))
    _save(folder.clean("train", second), clean)
    assert check(folder.path).errors == [
        ("image: not degraded", f"images/train/{first}.png"),
        ("clean: pixels differ from their hash", f"clean/train/{second}.png"),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema="angiogram-task/0"), "must be 'angiogram-task/1'"),
        (lambda m: m.update(kind="classification"), "key 'kind' must be 'segmentation', "),
        (lambda m: m.update(classes="vessel"), "key 'classes' must be a valid list"),
        (lambda m: m.pop("split"), "key 'split' is missing"),
        (lambda m: m["split"].update(official=1), "key 'split.official' must be a valid boolean"),
        (lambda m: m.update(splits={"../x": []}), "key 'splits.../x' must be the name of a file"),
        (lambda m: m["splits"]["train"][0].pop("stem"), "key 'splits.train.0.stem' is missing"),
        (lambda m: m["splits"]["train"][0].update(height=True), "train.0.height' must be a valid"),
        (lambda m: m["splits"]["test"][0].update(boxes=[[0, 1]]), "must have at least 5 items"),
        (lambda m: m["splits"]["test"][0].update(boxes=[[0, 0, 4, "4", 0]]), "must be a valid num"),
        (lambda m: m["splits"]["test"][0].update(boxes=[[0, 0, 4, True, 0]]), "must be a valid nu"),
        (lambda m: m.update(task_name="a"), "unknown key 'task_name'; did you mean 'task'"),
    ],
)
def test_invalid_manifest_is_refused(tmp_path, change, message):
    folder = make_task(tmp_path, "segmentation")
    edit_manifest(folder.path, change)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        TaskFolder.open(folder.path)
    assert str(caught.value).startswith(f"{folder.path / 'manifest.json'}: ")
    assert "\n" not in str(caught.value)
