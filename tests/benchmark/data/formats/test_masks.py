"""One rule for masks: every encoding gives the same vessel pixels, or the mask is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_layouts import picture, save

from benchmark.data.formats.masks import read_mask, same_colour
from benchmark.data.frame import UnreadableFrame
from benchmark.data.sources import open_source
from benchmark.data.synthetic.render import angiogram

DRAWN = angiogram(0, 4, frame=6, size=256)
TRUTH = DRAWN.vessel
HALF = np.arange(256) < np.median(np.nonzero(TRUTH)[1])
"""Columns that hold half of the vessel."""


def _colours(vessel: tuple[int, ...], ground: tuple[int, ...] = (0, 0, 0)) -> np.ndarray:
    return np.where(TRUTH[..., None], np.array(vessel), np.array(ground)).astype(np.uint8)


def _palette(*colours: tuple[int, int, int]) -> Image.Image:
    """Palette image: background in the first colour, vessel in the others, left to right."""
    right = min(2, len(colours) - 1)
    image = Image.fromarray(np.where(TRUTH, np.where(HALF, 1, right), 0).astype(np.uint8), mode="P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def _gray(vessel: int, ground: int = 0, dtype: type = np.uint8) -> Image.Image:
    return Image.fromarray(np.where(TRUTH, vessel, ground).astype(dtype))


TWO_COLOURS = {
    "white": (_gray(255), None),
    "ones": (_gray(1), None),
    "gray": (_gray(200, 20), None),
    "class": (_gray(38), 38),
    "bit": (Image.fromarray(TRUTH), None),
    "16 bits": (_gray(65535, dtype=np.uint16), None),
    "12 of 16 bits": (_gray(4095, dtype=np.uint16), None),
    "16 bits, ones": (_gray(1, dtype=np.uint16), None),
    "32 bits": (_gray(300, dtype=np.int32), None),
    "float": (_gray(1, dtype=np.float32), None),
    "rgb": (Image.fromarray(_colours((255, 255, 255))), None),
    "red": (Image.fromarray(_colours((255, 0, 0))), (255, 0, 0)),
    "blue": (Image.fromarray(_colours((0, 0, 128))), (0, 0, 128)),
    "viridis": (Image.fromarray(_colours((253, 231, 37), (68, 1, 84))), (253, 231, 37)),
    "palette": (_palette((0, 0, 0), (128, 0, 0)), (128, 0, 0)),
    "gray palette": (_palette((0, 0, 0), (90, 90, 90)), 90),
    "reversed palette": (_palette((9, 9, 9), (255, 255, 255)), None),
    "opaque": (Image.fromarray(_colours((255, 255, 255, 255), (0, 0, 0, 255))), None),
}


@pytest.mark.parametrize("name", TWO_COLOURS)
def test_the_brighter_of_two_colours_is_vessel(tmp_path, name):
    image, colour = TWO_COLOURS[name]
    image.save(tmp_path / "mask.tif")
    mask = read_mask(tmp_path / "mask.tif")
    np.testing.assert_array_equal(mask.vessel, TRUTH)
    assert (mask.vessel.dtype, mask.colour) == (bool, colour)


@pytest.mark.parametrize(
    ("vessel", "ground"),
    [
        ((255, 255, 255, 255), (255, 255, 255, 0)),
        ((255, 255, 255, 255), (0, 0, 0, 0)),
        ((255, 0, 0, 255), (255, 255, 255, 0)),
        ((0, 0, 0, 255), (0, 0, 0, 0)),
    ],
)
def test_masks_in_the_alpha_channel(tmp_path, vessel, ground):
    save(tmp_path / "a.png", _colours(vessel, ground))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png").vessel, TRUTH)
    # With a soft edge, half opacity suffices.
    soft = Image.fromarray(_colours(vessel, ground)).resize((384, 384), Image.Resampling.BILINEAR)
    opacity = np.asarray(soft.getchannel("A"))
    painted = Image.new("RGBA", soft.size, vessel)
    painted.putalpha(soft.getchannel("A"))
    painted.save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "b.png").vessel, opacity > 127)


@pytest.mark.parametrize("quality", [10, 30, 50, 75, 95])
def test_jpeg_noise_is_not_vessel(tmp_path, quality):
    Image.fromarray(TRUTH).convert("L").save(tmp_path / "a.jpg", quality=quality)
    stored = np.asarray(Image.open(tmp_path / "a.jpg"))
    mask = read_mask(tmp_path / "a.jpg").vessel
    np.testing.assert_array_equal(mask, stored > 127)
    assert (stored > 0).sum() > 1.5 * TRUTH.sum()
    # Errors are only at edges that JPEG compression itself has moved.
    assert (mask != TRUTH).sum() <= (0.02 if quality < 50 else 0.001) * TRUTH.sum()


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (255, 255, 0), (255, 140, 0)])
def test_coloured_jpegs(tmp_path, colour):
    Image.fromarray(_colours(colour)).save(tmp_path / "a.jpg", quality=90)
    mask = read_mask(tmp_path / "a.jpg")
    assert (mask.vessel != TRUTH).sum() <= 0.03 * TRUTH.sum()
    assert same_colour(mask.colour, colour)


@pytest.mark.parametrize("size", [200, 384, 512])
@pytest.mark.parametrize("filter", ["BOX", "BILINEAR", "BICUBIC", "LANCZOS"])
def test_soft_edges_are_thresholded_at_half(tmp_path, size, filter):
    soft = Image.fromarray(TRUTH).convert("L").resize((size, size), Image.Resampling[filter])
    soft.save(tmp_path / "a.png")
    expected = np.asarray(soft) > 127
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png").vessel, expected)


def _two_levels(left: int, right: int, dtype: type = np.uint8) -> np.ndarray:
    return (np.where(HALF, left, right) * TRUTH).astype(dtype)


def _two_colours(left: tuple[int, ...], right: tuple[int, ...]) -> np.ndarray:
    return np.where(HALF[:, None], _colours(left), _colours(right))


SEVERAL = "more than two colours or levels"
REFUSED = {
    "two arteries, gray": (_two_levels(100, 255), SEVERAL),
    "two arteries, both bright": (_two_levels(150, 255), SEVERAL),
    "catheter": (_two_levels(127, 255), SEVERAL),
    "class and ignored": (_two_levels(1, 255), SEVERAL),
    "classes in 16 bits": (_two_levels(1000, 4095, np.uint16), SEVERAL),
    "two arteries, red and green": (_two_colours((255, 0, 0), (0, 255, 0)), SEVERAL),
    "two arteries, red and blue": (_two_colours((255, 0, 0), (0, 0, 255)), SEVERAL),
    "two arteries, white and red": (_two_colours((255, 255, 255), (255, 0, 0)), SEVERAL),
    "label map": (_two_levels(1, 2), "neither 0 and 1 nor above 127"),
    "light ground": (np.where(TRUTH, 255, 90).astype(np.uint8), "no dark background"),
    "red on white": (_colours((255, 0, 0), (255, 255, 255)), "no dark background"),
    "noise on white": (200 + picture(1) // 8, "no dark background"),
    "constant": (np.full((9, 9), 38, np.uint8), "no dark background"),
    "colour and transparency": (
        np.dstack([DRAWN.image, DRAWN.image, DRAWN.image, 255 * TRUTH]).astype(np.uint8),
        "both colour and transparency",
    ),
    "not a number": (np.full((9, 9), np.nan, np.float32), "not finite"),
    "negative": (np.where(TRUTH, -1, 0).astype(np.int32), "below 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_masks_are_refused(tmp_path, name):
    pixels, reason = REFUSED[name]
    save(tmp_path / "mask.tif", pixels)
    with pytest.raises(UnreadableFrame, match=reason):
        read_mask(tmp_path / "mask.tif")


@pytest.mark.parametrize("colours", [((90,) * 3, (255,) * 3), ((128, 0, 0), (0, 128, 0))])
def test_a_palette_of_two_classes_is_refused(tmp_path, colours):
    _palette((0, 0, 0), *colours).save(tmp_path / "mask.png")
    with pytest.raises(UnreadableFrame, match=SEVERAL):
        read_mask(tmp_path / "mask.png")


def test_a_second_class_in_a_jpeg_is_refused(tmp_path):
    Image.fromarray(_two_levels(100, 255)).save(tmp_path / "mask.jpg", quality=75)
    with pytest.raises(UnreadableFrame, match=SEVERAL):
        read_mask(tmp_path / "mask.jpg")


@pytest.mark.parametrize(("value", "share"), [(0, 0), (1, 1), (255, 1)])
def test_constant_masks(tmp_path, value, share):
    save(tmp_path / "a.png", np.full((9, 9), value, np.uint8))
    assert read_mask(tmp_path / "a.png").vessel.mean() == share


# in the readers


def _write(name: str, root: Path, number: int) -> Path:
    """Write an angiogram in the layout of a dataset; returns the path for its mask."""
    image, mask = {
        "dca1": (f"{number}.png", f"{number}_gt.png"),
        "paired": (f"train/images/{number}.png", f"train/masks/{number}.png"),
        "caxf": (f"train/images/{number}.png", f"train/masks/{number}.png"),
        "xcad": (f"test/images/0000{number}_1.png", f"test/masks/0000{number}_1.png"),
        "xcav": (
            f"CVAI-100{number}/images/CVAI-100{number}LAO0_CAU29/00001.png",
            f"CVAI-100{number}/ground_truth/CVAI-100{number}LAO0_CAU29/00001.png",
        ),
    }[name]
    save(root / image, DRAWN.image)
    (root / mask).parent.mkdir(parents=True, exist_ok=True)
    return root / mask


@pytest.mark.parametrize("name", ["dca1", "paired", "caxf", "xcad", "xcav"])
def test_readers_share_the_rule(tmp_path, name):
    masks = [_write(name, tmp_path, number) for number in range(1, 8)]
    white = _gray(255)
    white.save(masks[0])
    _gray(1).save(masks[1])
    white.save(masks[2].with_suffix(".jpg"), quality=75)
    save(masks[3], _colours((255, 255, 255, 255), (255, 255, 255, 0)))
    _gray(0).save(masks[4])
    _gray(38).save(masks[5])
    _gray(100).convert("RGB").save(masks[6])
    source = open_source(name, tmp_path)
    read, refused = [], []
    for frame in source.frames():
        try:
            read.append(source.read_masks(frame))
        except UnreadableFrame as error:
            refused.append(str(error))
    assert [mask.shape for mask in read] == [(1, 256, 256)] * 5
    for mask in (read[0], read[1], read[3]):
        np.testing.assert_array_equal(mask[0], TRUTH)
    assert abs(int(read[2].sum()) - int(TRUTH.sum())) <= 0.001 * TRUTH.sum()
    assert not read[4].any()
    # Whether 38 or 100 corresponds to 255 in the others is unknown.
    assert refused == ["mask: vessel colour differs from the other masks"] * 2


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_vessel_colour_of_the_dataset(tmp_path, order):
    for number, colour in zip(order, [(0, 255, 0), (255, 0, 0), (250, 8, 2)]):
        save(_write("paired", tmp_path, number), _colours(colour))

    def refused() -> list[str]:
        source = open_source("paired", tmp_path)
        found = []
        for frame in list(source.frames()):
            report = source.report
            try:
                np.testing.assert_array_equal(source.read_masks(frame)[0], TRUTH)
            except UnreadableFrame as error:
                found.append(f"{Path(frame.path).stem} {error}")
            assert source.report is report
        return found

    reason = "mask: vessel colour differs from the other masks"
    assert refused() == [f"{order[0]} {reason}"]
    # Beside a white mask, red ones are ambiguous.
    _gray(255).save(_write("paired", tmp_path, 9))
    assert refused() == [f"{number} {reason}" for number in range(3)]
