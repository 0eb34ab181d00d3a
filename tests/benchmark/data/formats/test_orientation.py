"""EXIF orientation: pixels, sizes and boxes agree with Pillow and with the EXIF definition."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from high_bit_depth_files import packed_tiff_bytes
from PIL import Image

from benchmark.data.formats.headers import Header, image_size, read_header
from benchmark.data.formats.images import read_grayscale, read_image
from benchmark.data.formats.orientation import orient_boxes

HEIGHT, WIDTH = 20, 30
STORED = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8)

# EXIF's definition: where the first row and the first column of the stored image are.
TURNS = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T,
    8: np.rot90,
}
UPRIGHT = {orientation: turn(STORED) for orientation, turn in TURNS.items()}


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def _with_exif(form: str, orientation: int) -> bytes:
    stream = io.BytesIO()
    options = {"quality": 100} if form == "jpeg" else {}
    Image.fromarray(STORED).save(stream, form, exif=_exif(orientation), **options)
    return stream.getvalue()


def _deep_png(orientation: int) -> bytes:
    """16-bit RGB PNG with an eXIf chunk written by Pillow."""
    deep = np.repeat(STORED[..., None].astype(np.uint16) * 257, 3, axis=2)
    content = cv2.imencode(".png", deep)[1].tobytes()
    donor = _with_exif("png", orientation)
    at = donor.index(b"eXIf") - 4
    chunk = donor[at : at + 12 + int.from_bytes(donor[at : at + 4], "big")]
    return content[:33] + chunk + content[33:]


def _tiff(orientation: int, deep: int, form: str = "minisblack", **options: object) -> bytes:
    values = STORED.astype(np.uint16) * 257 if deep else STORED
    if form == "rgb":
        values = np.repeat(values[..., None], 3, axis=2)
    stream = io.BytesIO()
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(stream, values, photometric=form, extratags=tags, **options)
    return stream.getvalue()


FORMS = {
    "a.jpg": lambda orientation: _with_exif("jpeg", orientation),
    "a.png": lambda orientation: _with_exif("png", orientation),
    "deep.png": _deep_png,
    "a.tif": lambda orientation: _tiff(orientation, deep=False),
    "deep.tif": lambda orientation: _tiff(orientation, deep=True),
    "rgb.tif": lambda orientation: _tiff(orientation, True, "rgb"),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", FORMS)
def test_pixels_and_size_are_upright(tmp_path: Path, name: str, orientation: int):
    path = tmp_path / name
    path.write_bytes(FORMS[name](orientation))
    upright = UPRIGHT[orientation]
    gray = read_grayscale(path)
    assert gray.shape == upright.shape == image_size(path)
    assert read_header(path) == Header((HEIGHT, WIDTH), orientation)
    error = np.abs(gray.astype(int) - upright)
    assert error.max() <= (3 if name == "a.jpg" else 0)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_opencv_orientation_is_applied_once(tmp_path: Path, orientation: int):
    content = packed_tiff_bytes(STORED, 10, orientation=orientation)
    (tmp_path / "a.tif").write_bytes(content)
    values = read_image(tmp_path / "a.tif").values[..., 0]
    np.testing.assert_array_equal(values, UPRIGHT[orientation])


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_boxes_move_with_the_pixels(orientation: int):
    row, column = 3, 22
    stored = np.zeros((HEIGHT, WIDTH), np.uint8)
    stored[row, column : column + 4] = 1
    upright = TURNS[orientation](stored)
    rows, columns = np.nonzero(upright)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    given = np.array([[column, row, column + 4, row + 1, 7]])
    turned = orient_boxes(given, orientation, HEIGHT, WIDTH)
    assert turned.tolist() == [[*box, 7]]
    x, y = orient_boxes(np.zeros((1, 4)), orientation, HEIGHT, WIDTH)[0, :2]
    place = {1: (0, 0), 2: (WIDTH, 0), 3: (WIDTH, HEIGHT), 4: (0, HEIGHT), 5: (0, 0)}
    place |= {6: (HEIGHT, 0), 7: (HEIGHT, WIDTH), 8: (0, WIDTH)}
    assert (x, y) == place[orientation]


def test_damaged_or_invalid_orientations_are_ignored(tmp_path: Path):
    for exif in (b"Exif\0\0MM\0*garbage", b"Exif\0\0no exif", _exif(9), _exif(0)):
        stream = io.BytesIO()
        Image.fromarray(STORED).save(stream, "jpeg", exif=exif, quality=100)
        (tmp_path / "a.jpg").write_bytes(stream.getvalue())
        assert read_grayscale(tmp_path / "a.jpg").shape == (HEIGHT, WIDTH)
        assert read_header(tmp_path / "a.jpg") == Header((HEIGHT, WIDTH), 1)
