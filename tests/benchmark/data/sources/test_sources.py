"""Readers against raw folders with planted defects: exact counts, never a guess."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_layouts import picture, save, truncate

from benchmark.data.formats.images import read_grayscale
from benchmark.data.frame import UnreadableFrame
from benchmark.data.sources import open_source
from benchmark.data.sources.files import find_root, list_entries, walk_images
from benchmark.data.tasks import write_task_folder
from benchmark.errors import InputError

# walking


def test_listing_is_natural_and_without_clutter(tmp_path):
    names = ["p10", "p4", "P2", ".DS_Store", "._p3", "__MACOSX", "Thumbs.db", "desktop.ini"]
    for name in names:
        (tmp_path / name).touch()
    assert [entry.name for entry in list_entries(tmp_path)] == ["P2", "p4", "p10"]


def test_walk_takes_upper_case_extensions_and_survives_a_link_to_the_parent(tmp_path):
    for name in ("b/10.PNG", "b/9.png", "a.txt", "2.Jpg"):
        save(tmp_path / "x.png", picture(0))
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.move(tmp_path / "x.png", tmp_path / name)
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in walk_images(tmp_path)]
    assert found == ["2.Jpg", "b/9.png", "b/10.PNG"]


def test_root_is_found_two_levels_down_and_archives_are_named(tmp_path):
    (tmp_path / "a" / "b" / "mark").mkdir(parents=True)
    assert find_root(tmp_path, lambda f: (f / "mark").exists(), "X") == tmp_path / "a" / "b"
    (tmp_path / "inner.zip").touch()
    with pytest.raises(InputError, match=r"does not look like X; unpack inner\.zip first"):
        find_root(tmp_path, lambda f: False, "X")


# decoding


def _palette(pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(255 - pixels).convert("P")
    image.putpalette([255 - value for value in range(256) for _ in range(3)])
    return image


GRAY = picture(1, 20, 30)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("rgb.bmp", Image.fromarray(GRAY).convert("RGB")),
        ("rgba.png", Image.fromarray(np.dstack([GRAY, GRAY, GRAY, 255 - GRAY]))),
        ("la.png", Image.fromarray(np.dstack([GRAY, 255 - GRAY]))),
        ("palette.png", _palette(GRAY)),
        ("gray.pgm", Image.fromarray(GRAY)),
        ("deep8.png", Image.fromarray(GRAY.astype(np.uint16))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_encoding_of_one_gray_image_reads_the_same(tmp_path, name, image):
    image.save(tmp_path / name)
    read = read_grayscale(tmp_path / name)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, GRAY)


def test_colour_becomes_luma(tmp_path):
    colour = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=np.uint8)
    save(tmp_path / "a.png", colour)
    assert read_grayscale(tmp_path / "a.png").tolist() == [[76, 150, 29]]


def _png_of_claimed_size(path: Path, side: int) -> Path:
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data
        content += struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)
    return path


def test_every_type_of_damage_has_its_reason(tmp_path):
    (tmp_path / "zero.png").touch()
    (tmp_path / "text.png").write_text("this is not an image")
    truncate(save(tmp_path / "cut.png", picture(1, 200, 200)))
    truncate(save(tmp_path / "cut.jpg", picture(1, 200, 200)), 0.7)
    truncate(save(tmp_path / "cut.bmp", picture(1)), 0.5)
    flipped = bytearray(save(tmp_path / "flipped.png", picture(1, 200, 200)).read_bytes())
    flipped[len(flipped) // 2] ^= 0xFF
    (tmp_path / "flipped.png").write_bytes(flipped)
    _png_of_claimed_size(tmp_path / "large.png", 9000)
    _png_of_claimed_size(tmp_path / "bomb.png", 60000)
    pages = [Image.fromarray(picture(seed)) for seed in (1, 2)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    for name, reason in {
        "zero.png": "empty file",
        "text.png": "not an image",
        "cut.png": "damaged image",
        "cut.jpg": "damaged image",
        "cut.bmp": "damaged image",
        "flipped.png": "damaged image",
        "large.png": "image too large",
        "bomb.png": "image too large",
        "pages.tif": "more than one image in the file",
        "absent.png": "file missing",
    }.items():
        with pytest.raises(UnreadableFrame) as caught:
            read_grayscale(tmp_path / name)
        assert (name, str(caught.value)) == (name, reason)


# synthetic


def test_synthetic_source_is_reproducible_and_split_by_patient():
    options = {"patients": 3, "videos": 1, "frames": 2, "size": 64, "seed": 5}
    source = open_source("synthetic", **options)
    frames = list(source.frames())
    assert source.report.counts == {}
    assert [frame.path for frame in frames[:3]] == [
        "patient0000/video0/frame00",
        "patient0000/video0/frame01",
        "patient0001/video0/frame00",
    ]
    assert [frame.split for frame in frames] == ["train"] * 4 + ["test"] * 2
    # Seed 5; another seed draws other patients, who get other ids.
    assert {frame.group for frame in frames} == {f"synthetic/5-{patient}" for patient in range(3)}
    image, mask = source.read(frames[1]), source.read_masks(frames[1])[0]
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((64, 64), "u1", (64, 64), "?")
    assert 0 < mask.mean() < 0.5
    again = open_source("synthetic", **{key: str(value) for key, value in options.items()})
    assert again.options == source.options
    np.testing.assert_array_equal(again.read(frames[1]), image)
    assert (open_source("synthetic", **{**options, "seed": 6}).read(frames[1]) != image).any()


def test_synthetic_boxes_are_of_stenoses_whatever_the_masks_show(tmp_path):
    options = {"patients": 3, "videos": 1, "frames": 4, "first_frame": 3, "size": 64, "seed": 2}
    narrow = open_source("synthetic", task="synthetic_s", **options)
    found = 0
    for task in ("synthetic_v", "synthetic_vs"):
        source = open_source("synthetic", task=task, **options)
        folder = write_task_folder(source, tmp_path / task, "detection", progress=False)
        assert folder.classes == ["stenosis"]
        for frame in source.frames():
            inside = np.zeros((64, 64), bool)
            for *corners, label in source.read_boxes(frame):
                x0, y0, x1, y1 = map(int, corners)
                inside[y0:y1, x0:x1] = True
                assert label == 0
                found += 1
            assert not (narrow.read_masks(frame)[0] & ~inside).any()
    assert found


def test_synthetic_close_ups_have_the_size_asked_for_and_the_detail_of_a_larger_frame():
    options = {"patients": 2, "videos": 1, "frames": 4, "first_frame": 3, "seed": 2}
    source = open_source("synthetic", size=32, field=0.25, **options)
    whole = open_source("synthetic", size=128, **options)
    assert source.options == {**whole.options, "size": 32, "field": 0.25}
    for frame in source.frames():
        image = source.read(frame)
        windows = np.lib.stride_tricks.sliding_window_view(whole.read(frame), (32, 32))
        ((row, column),) = np.argwhere((windows == image).all(axis=(2, 3)))
        window = np.s_[row : row + 32, column : column + 32]
        np.testing.assert_array_equal(
            source.read_masks(frame)[0], whole.read_masks(frame)[0][window]
        )
