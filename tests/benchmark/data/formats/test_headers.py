"""Sizes from headers agree with what decoding gives."""

from __future__ import annotations

import pytest
from PIL import Image
from raw_layouts import picture, save, truncate

from benchmark.data.formats.headers import image_size
from benchmark.data.formats.images import read_grayscale


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.jpg", "a.tif", "a.pgm"])
def test_size_is_that_of_the_decoded_image(tmp_path, name):
    path = save(tmp_path / name, picture(1, 20, 30))
    assert image_size(path) == read_grayscale(path).shape == (20, 30)


def test_an_unusable_header_gives_no_size(tmp_path, monkeypatch):
    assert image_size(tmp_path / "absent.png") is None
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("this is not an image")
    cut = truncate(save(tmp_path / "cut.png", picture(1)), 0.01)
    for path in (tmp_path / "empty.png", tmp_path / "text.png", cut):
        assert image_size(path) is None
    large = save(tmp_path / "large.png", picture(1))
    monkeypatch.setattr("benchmark.data.formats.headers.MAX_PIXELS", 48 * 48 - 1)
    assert image_size(large) is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert image_size(large) is None
