"""Images that EXIF says to turn: masks, outlines and boxes lie on what they mark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from benchmark.data.sources import open_source

ORIENTATIONS = range(1, 9)
# By the definition of EXIF: the stored image of an upright one.
STORE = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).T,
    8: lambda upright: np.rot90(upright, -1),
}
BOX = (8, 5, 21, 12)
"""What is dark in the upright image: x0, y0, x1, y1."""


def _vessel(height: int, width: int) -> np.ndarray:
    vessel = np.zeros((height, width), bool)
    vessel[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    return vessel


def _save(path: Path, upright: np.ndarray, orientation: int) -> tuple[int, ...]:
    """An image with a dark vessel, stored as `orientation` says; its stored height and width."""
    stored = STORE[orientation](np.where(upright, np.uint8(40), np.uint8(160)))
    exif = Image.Exif()
    exif[274] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(stored)).save(path, "PNG", exif=exif)
    return stored.shape


PLACES = {
    "paired": ("train/images/1.png", "train/masks/1.png"),
    "dca1": ("1.png", "1_gt.png"),
    "xcad": ("test/images/00001_1.png", "test/masks/00001_1.png"),
    "xcav": (
        "CVAI-1001/images/CVAI-1001LAO0_CAU29/1.png",
        "CVAI-1001/ground_truth/CVAI-1001LAO0_CAU29/1.png",
    ),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("size", [(30, 40), (32, 32)])
def test_masks(tmp_path, name, orientation, size):
    """Drawn on the image as shown, unless their size is that of the stored one alone."""
    image, mask = (tmp_path / place for place in PLACES[name])
    upright = _vessel(*size)
    stored = _save(image, upright, orientation)
    for drawn in [upright, *([STORE[orientation](upright)] if stored != size else [])]:
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(drawn)).save(mask)
        source = open_source(name, tmp_path)
        (frame,) = source.frames()
        assert "mask size differs, resized" not in source.report.counts
        np.testing.assert_array_equal(source.read_masks(frame)[0], upright)
        np.testing.assert_array_equal(source.read(frame), np.where(upright, 40, 160))


def _corners(vessel: np.ndarray) -> list[float]:
    """x0, y0, x1, y1 of what is set in a mask."""
    rows, columns = np.nonzero(vessel)
    return [float(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)]


def _write_arcade(root: Path, drawn: np.ndarray, size: tuple[int, ...] | None, runs: bool) -> None:
    x0, y0, x1, y1 = _corners(drawn)
    segmentation = [[x0, y0, x1, y0, x1, y1, x0, y1]]
    if runs:
        coded = coco_mask.encode(np.asfortranarray(drawn.astype(np.uint8)))
        segmentation = {"size": coded["size"], "counts": coded["counts"].decode()}
    sides = dict(zip(("height", "width"), size or ()))
    content = {
        "images": [{"id": 1, "file_name": "1.png", **sides}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "segmentation": segmentation}],
        "categories": [{"id": 5, "name": "5"}],
    }
    path = root / "syntax" / "train" / "annotations" / "train.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _claims(upright: np.ndarray, stored: tuple[int, ...], orientation: int):
    """What is drawn, and the listed size: of the image as shown or, where it differs, as stored."""
    yield upright, upright.shape
    if stored != upright.shape:
        yield STORE[orientation](upright), stored


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("runs", [False, True], ids=["polygon", "runs"])
def test_outlines(tmp_path, orientation, runs):
    upright = _vessel(30, 40)
    stored = _save(tmp_path / "syntax/train/images/1.png", upright, orientation)
    for drawn, size in [(upright, None), *_claims(upright, stored, orientation)]:
        _write_arcade(tmp_path, drawn, size, runs)
        for task, channel in (("arcade_v", 0), ("arcade_vs", 4)):
            source = open_source("arcade", tmp_path, task=task)
            (frame,) = source.frames()
            assert source.report.counts == {"split missing": 2}
            np.testing.assert_array_equal(source.read_masks(frame)[channel], upright)
            np.testing.assert_array_equal(source.read(frame) == 40, upright)


VOC = (
    "<a><size><width>{1}</width><height>{0}</height></size><object><name>stenosis</name><bndbox>"
    "<xmin>{2}</xmin><ymin>{3}</ymin><xmax>{4}</xmax><ymax>{5}</ymax></bndbox></object></a>"
)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_boxes(tmp_path, orientation):
    upright = _vessel(30, 40)
    stored = _save(tmp_path / "14_001_1_0001.bmp", upright, orientation)
    for drawn, size in _claims(upright, stored, orientation):
        (tmp_path / "14_001_1_0001.xml").write_text(VOC.format(*size, *_corners(drawn)))
        source = open_source("stenosis", tmp_path)
        (frame,) = source.frames()
        assert source.report.counts == {"no split list": 1}
        assert source.read_boxes(frame).tolist() == [[*BOX, 0]]
        np.testing.assert_array_equal(source.read(frame) == 40, upright)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_own_label_maps_outlines_and_boxes(tmp_path, orientation):
    upright = _vessel(30, 40)
    stored = _save(tmp_path / "train/images/1.png", upright, orientation)
    (tmp_path / "train" / "masks").mkdir()
    for drawn, size in _claims(upright, stored, orientation):
        labels = Image.fromarray(np.ascontiguousarray(drawn).astype(np.uint8) * 2)
        labels.save(tmp_path / "train/masks/1.png")
        x0, y0, x1, y1 = _corners(drawn)
        content = {
            "images": [{"id": 1, "file_name": "1.png", "height": size[0], "width": size[1]}],
            "categories": [{"id": 1, "name": "vessel"}],
        }
        entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        entry["segmentation"] = [[x0, y0, x1, y0, x1, y1, x0, y1]]
        (tmp_path / "train.json").write_text(json.dumps({**content, "annotations": [entry]}))

        source = open_source("paired", tmp_path, layout="masks", classes="a,b")
        (frame,) = source.frames()
        np.testing.assert_array_equal(source.read_masks(frame)[1], upright)
        for form in ("segmentation", "detection"):
            source = open_source("paired", tmp_path, layout="coco", form=form)
            (frame,) = source.frames()
            assert source.report.counts == {}
            if form == "detection":
                assert source.read_boxes(frame).tolist() == [[*BOX, 0]]
            else:
                np.testing.assert_array_equal(source.read_masks(frame)[0], upright)
