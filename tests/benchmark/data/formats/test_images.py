"""High bit depth images against 8-bit references and formulas; damaged images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from dicom_codecs import jpeg_lossless
from high_bit_depth_files import opencv_bytes, packed_tiff_bytes, png_bytes, tiff_bytes
from PIL import Image
from raw_layouts import picture, save, truncate

from benchmark.data.formats.headers import image_size
from benchmark.data.formats.images import read_grayscale, read_image
from benchmark.data.frame import UnreadableFrame

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.integers(0, 4096, (24, 36)).astype(np.uint16)
VALUES[0, :2] = 0, 4095
COLOUR = RANDOM.integers(0, 4096, (24, 36, 3)).astype(np.uint16)
COLOUR[0, 0] = 4095
ALPHA = RANDOM.integers(0, 65536, (24, 36)).astype(np.uint16)


def _gray(values: np.ndarray, white: int) -> np.ndarray:
    return np.floor(values / white * 255 + 0.5).astype(np.uint8)


def _repeated(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


HIGH_BIT_DEPTH = {
    "gray.png": png_bytes(VALUES),
    "alpha.png": png_bytes(np.dstack([VALUES, ALPHA])),
    "rgb.png": png_bytes(_repeated(VALUES)),
    "rgba.png": opencv_bytes(".png", np.dstack([_repeated(VALUES), ALPHA])),
    "gray.tif": tiff_bytes(VALUES),
    "big_endian.tif": tiff_bytes(VALUES, byteorder=">"),
    "alpha.tif": tiff_bytes(
        np.dstack([VALUES, ALPHA]),
        photometric="minisblack",
        planarconfig="contig",
        extrasamples=["unassalpha"],
    ),
    "rgb.tif": tiff_bytes(_repeated(VALUES), photometric="rgb"),
    "rgb_big_endian.tif": tiff_bytes(_repeated(VALUES), photometric="rgb", byteorder=">"),
    "rgba.tif": tiff_bytes(
        np.dstack([_repeated(VALUES), ALPHA]), photometric="rgb", extrasamples=["unassalpha"]
    ),
    "planes.tif": tiff_bytes(
        np.moveaxis(_repeated(VALUES), 2, 0), photometric="rgb", planarconfig="separate"
    ),
    "deflate.tif": tiff_bytes(
        _repeated(VALUES), photometric="rgb", compression="zlib", predictor=2
    ),
    "lzw.tif": opencv_bytes(".tif", VALUES, cv2.IMWRITE_TIFF_COMPRESSION, 5),
    "rgb_lzw.tif": opencv_bytes(".tif", _repeated(VALUES), cv2.IMWRITE_TIFF_COMPRESSION, 5),
    "packed.tif": packed_tiff_bytes(VALUES, 12),
}


@pytest.mark.parametrize("name", HIGH_BIT_DEPTH)
def test_high_bit_depth_formats_keep_values(tmp_path, name):
    (tmp_path / name).write_bytes(HIGH_BIT_DEPTH[name])
    image = read_image(tmp_path / name)
    for channel in np.moveaxis(image.colours, 2, 0):
        np.testing.assert_array_equal(channel, VALUES)
    if image.values.shape[2] in {2, 4}:
        np.testing.assert_array_equal(image.values[..., -1], ALPHA)
    np.testing.assert_array_equal(read_grayscale(tmp_path / name), _gray(VALUES, 4095))


@pytest.mark.parametrize(
    "content",
    [
        png_bytes(COLOUR),
        tiff_bytes(COLOUR, photometric="rgb"),
        opencv_bytes(".tif", COLOUR, cv2.IMWRITE_TIFF_COMPRESSION, 5),
    ],
    ids=["png", "tiff", "lzw"],
)
def test_high_bit_depth_luma(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    np.testing.assert_array_equal(read_image(tmp_path / "a").values, COLOUR)
    luma = COLOUR @ np.array([0.299, 0.587, 0.114]) / 4095 * 255
    assert np.abs(read_grayscale(tmp_path / "a") - luma).max() <= 0.5 + 255 / 4095


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("photometric", [0, 1])
def test_packed_tiff_states_its_white_level(tmp_path, bits, photometric):
    # The maximum value alone would suggest two bits less.
    values = VALUES >> (14 - bits)
    (tmp_path / "a.tif").write_bytes(packed_tiff_bytes(values, bits, photometric))
    white = (1 << bits) - 1
    image = read_image(tmp_path / "a.tif")
    assert image.depths == (bits,)
    np.testing.assert_array_equal(image.values[..., 0], values)
    expected = _gray(values if photometric else white - values, white)
    np.testing.assert_array_equal(read_grayscale(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize("white", [255, 1023, 4095, 16383, 65535])
def test_polarity_comes_from_the_file(tmp_path, white):
    values = (VALUES.astype(np.int64) * white // 4095).astype(np.uint8 if white < 256 else "u2")
    (tmp_path / "dark.tif").write_bytes(tiff_bytes(values, photometric="minisblack"))
    (tmp_path / "light.tif").write_bytes(tiff_bytes(white - values, photometric="miniswhite"))
    dark, light = read_grayscale(tmp_path / "dark.tif"), read_grayscale(tmp_path / "light.tif")
    np.testing.assert_array_equal(dark, _gray(values, white))
    np.testing.assert_array_equal(light, dark)


def test_png_significant_bits(tmp_path):
    dim = VALUES // 16
    dim[0, 0] = 255  # without the chunk: 8-bit values
    path = tmp_path / "a.png"
    for pixels in (dim, _repeated(dim), np.dstack([dim, ALPHA])):
        path.write_bytes(png_bytes(pixels, 12))
        image = read_image(path)
        assert image.depths == (12, 16)
        np.testing.assert_array_equal(image.to_grayscale(), _gray(dim, 4095))
        # In a file set whose other images exceed 12 bits.
        assert image.white_level(5000) == 65535
    for values, bits in ((VALUES << 4, 12), (VALUES, 16)):
        path.write_bytes(png_bytes(values, bits))
        np.testing.assert_array_equal(read_grayscale(path), _gray(values, 65535))


@pytest.mark.parametrize("white", [1000, 1023, 4095, 65535])
def test_pgm_maximum_is_white(tmp_path, white):
    values = (VALUES.astype(np.int64) * (white // 2) // 4095).astype(np.uint16)
    head = b"P5 # a comment\n36 24\n%d\n" % white
    (tmp_path / "a.pgm").write_bytes(head + values.astype(">u2").tobytes())
    error = np.abs(read_grayscale(tmp_path / "a.pgm").astype(int) - _gray(values, white)).max()
    assert error <= (white < 65535)
    # Writers put 65535 there whatever the values, so that it states nothing.
    assert len(read_image(tmp_path / "a.pgm").depths) == (5 if white == 65535 else 1)


@pytest.mark.parametrize(
    ("highest", "white"), [(255, 255), (256, 1023), (1024, 4095), (4096, 16383)]
)
def test_white_level_of_unstated_depth(tmp_path, highest, white):
    values = (VALUES.astype(np.int64) * highest // 4095).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png_bytes(values))
    np.testing.assert_array_equal(read_grayscale(tmp_path / "a.png"), _gray(values, white))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.tif", tiff_bytes(VALUES.astype(np.int32) - 5), "values outside 16 bits"),
        ("a.tif", tiff_bytes(VALUES.astype(np.uint32) * 65536), "values outside 16 bits"),
        ("a.tif", tiff_bytes(VALUES.astype(np.float32)), "unsupported pixel type F"),
        ("a.tif", tiff_bytes(VALUES.astype(np.float64)), "unsupported pixel type"),
        (
            "a.tif",
            tiff_bytes(np.dstack([COLOUR, ALPHA]), photometric="separated"),
            "unsupported pixel",
        ),
        ("a.tif", tiff_bytes(np.stack([COLOUR, COLOUR]), photometric="rgb"), "more than one image"),
        ("a.tif", b"II*\0" + bytes(100), "damaged image"),
        ("a.jpg", jpeg_lossless(VALUES, 12), "damaged JPEG, or not 8-bit"),
    ],
)
def test_unusable_images(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFrame, match=reason):
        read_grayscale(tmp_path / name)


@pytest.mark.parametrize("name", HIGH_BIT_DEPTH)
def test_high_bit_depth_images_are_never_partly_decoded(tmp_path, name):
    path, intact = tmp_path / name, HIGH_BIT_DEPTH[name]
    random = np.random.default_rng(1)
    for cut in random.integers(1, len(intact) - 64, 12):
        path.write_bytes(intact[:cut])
        with pytest.raises(UnreadableFrame):
            read_grayscale(path)
    for _ in range(20):
        content = bytearray(intact)
        for place in random.integers(0, len(intact), 3):
            content[place] = random.integers(256)
        path.write_bytes(content)
        try:
            assert read_grayscale(path).dtype == np.uint8
        except UnreadableFrame:
            continue


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.jpg", "a.tif", "a.pgm"])
def test_header_size_equals_decoded_size(tmp_path, name):
    path = save(tmp_path / name, picture(1, 20, 30))
    assert image_size(path) == read_grayscale(path).shape == (20, 30)


def test_unusable_headers(tmp_path, monkeypatch):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("this is not an image")
    truncate(save(tmp_path / "cut.png", picture(1)), 0.01)
    for name in ("absent.png", "empty.png", "text.png", "cut.png"):
        assert image_size(tmp_path / name) is None
    large = save(tmp_path / "large.png", picture(1))
    monkeypatch.setattr("benchmark.data.formats.headers.MAX_PIXELS", 48 * 48 - 1)
    assert image_size(large) is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert image_size(large) is None


def test_eight_bit_channels_are_kept_for_masks(tmp_path: Path):
    gray = (VALUES >> 4).astype(np.uint8)
    alpha = (ALPHA >> 8).astype(np.uint8)
    forms = {
        "la.png": np.dstack([gray, alpha]),
        "rgba.png": np.dstack([_repeated(gray), alpha]),
        "rgb.png": (COLOUR >> 4).astype(np.uint8),
    }
    for name, values in forms.items():
        Image.fromarray(values).save(tmp_path / name)
        np.testing.assert_array_equal(read_image(tmp_path / name).values, values)
    palette = Image.fromarray(gray & 1, "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.info["transparency"] = 0
    palette.save(tmp_path / "p.png")
    looked_up = np.array([[10, 20, 30, 0], [40, 50, 60, 255]], np.uint8)[gray & 1]
    np.testing.assert_array_equal(read_image(tmp_path / "p.png").values, looked_up)
