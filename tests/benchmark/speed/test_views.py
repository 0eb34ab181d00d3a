"""The measurement of loader and views: both sides see the same frames and do the same work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import Compose, Normalize, RandomResizedCrop, ToTensor

from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.errors import InputError
from benchmark.speed import frames, views


@pytest.mark.parametrize(
    ("part", "names"), [("views", ["views"]), ("loader", ["loader", "loader + views"])]
)
def test_both_sides_make_the_same_views(part, names, tmp_path, written):
    """Given our boxes, PIL's views are ours up to one grey level, and the masks are equal."""
    rows = views.bench_views(part, count=5, size=64, view=48, batch=2, repeats=1, out=tmp_path)
    assert written(f"{part}-cpu-1core-torch") == rows
    assert [row["what"].split(",")[0] for row in rows] == names
    for row in rows:
        assert "4 frames 64x64 with masks to 48x48" in row["what"]
        assert float(row["agreement_min"]) > 0.98
        assert float(row["agreement_mean"]) > 0.99


def test_pack_and_files_hold_the_same_pixels(tmp_path):
    frames.write_png_pairs(tmp_path, 3, 64)
    packs = frames.pack_of_pairs(tmp_path, 64)
    images, bits, valid = packs.gather(range(3))
    masks = np.unpackbits(bits, axis=-1)
    assert valid.tolist() == [[64, 64]] * 3
    for number in range(3):
        for kind, pixels in (("frames", images[number]), ("masks", masks[number] * 255)):
            found = np.asarray(Image.open(tmp_path / kind / f"{number:06d}.png"))
            np.testing.assert_array_equal(found, pixels)


def test_reference_is_torchvisions_recipe(tmp_path):
    """The image is what torchvision's own composed transforms give from the same random state."""
    frames.write_png_pairs(tmp_path, 1, 64)
    pairs = views.PngPairs(tmp_path, 32)
    frame, _ = pairs.read(0)
    bicubic = views.InterpolationMode.BICUBIC
    crop = RandomResizedCrop(32, (0.2, 1.0), (3 / 4, 4 / 3), interpolation=bicubic)
    recipe = Compose([crop, ToTensor(), Normalize(IMAGENET_MEAN, IMAGENET_STD)])
    torch.manual_seed(4)
    image, mask = pairs[0]
    mirrored = [image.flip(2), mask.flip(2)]
    torch.manual_seed(4)
    expected = recipe(frame)
    assert torch.equal(expected, image) or torch.equal(expected, mirrored[0])
    assert set(mask.unique().tolist()) <= {0.0, 1.0}


def test_bad_input_is_named():
    with pytest.raises(InputError, match="batch_size=9 is more than the 2 frames"):
        views.bench_views("views", count=2, size=32, view=32, batch=9, repeats=1)
