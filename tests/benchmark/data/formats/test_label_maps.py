"""Class indices from image files: read as stored, or refused with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmark.data.formats.label_maps import is_label_map, read_label_map
from benchmark.data.frame import UnreadableFrame

LABELS = np.array([[0, 1, 2], [2, 2, 3]], np.uint8)


def _palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values, mode="P")
    image.putpalette([7, 7, 7, 7, 7, 7, 255, 255, 255, 0, 200, 0])  # two classes look alike
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(LABELS),
        _palette(LABELS),
        Image.fromarray(LABELS.astype(np.uint16)),
        Image.fromarray(LABELS.astype(np.int32)),
        Image.fromarray(np.dstack([LABELS] * 3)),
    ],
    ids=["8 bits", "palette", "16 bits", "32 bits", "rgb"],
)
def test_every_encoding_gives_the_indices(tmp_path, image):
    path = tmp_path / "1.tif"
    image.save(path)
    masks = read_label_map(path, 3)
    assert masks.dtype == bool
    np.testing.assert_array_equal(masks, [LABELS == 1, LABELS == 2, LABELS == 3])
    assert is_label_map(path)
    with pytest.raises(UnreadableFrame, match="value beyond the classes"):
        read_label_map(path, 2)


@pytest.mark.parametrize(
    ("pixels", "ending", "reason"),
    [
        (np.dstack([LABELS, LABELS, LABELS + 1]), "png", "colours instead of class indices"),
        (LABELS, "jpg", "JPEG, which does not keep class indices"),
        (LABELS.astype(np.float32), "tif", "values that are not integers"),
        (np.where(LABELS == 3, -1, 0).astype(np.int32), "tif", "value beyond the classes"),
        (np.where(LABELS == 3, 255, LABELS).astype(np.uint8), "png", "value beyond the classes"),
    ],
)
def test_what_holds_no_indices_is_refused(tmp_path, pixels, ending, reason):
    path = tmp_path / f"1.{ending}"
    Image.fromarray(pixels).save(path)
    with pytest.raises(UnreadableFrame, match=reason):
        read_label_map(path, 3)
    assert not is_label_map(path)


def test_binary_and_damaged_files_are_no_label_maps(tmp_path):
    Image.fromarray((LABELS > 1).astype(np.uint8)).save(tmp_path / "ones.png")
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    assert not is_label_map(tmp_path / "ones.png")
    assert not is_label_map(tmp_path / "damaged.png")
    with pytest.raises(UnreadableFrame, match=r"damaged image|not an image"):
        read_label_map(tmp_path / "damaged.png", 2)
