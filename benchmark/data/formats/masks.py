"""One rule for reading a mask of one class: which pixels are vessel, or why nobody can tell.

A mask shows a dark background and a vessel in one other colour, and along the outlines mixtures of
the two. Vessel is

- in a mask of two colours (0 and 1, black and red, two entries of a palette) the brighter one;
- in a grey mask of more levels what is above 127: anti-aliased outlines and the noise of a JPEG lie
  next to a bright vessel, which is how they are told from a second class;
- in a mask of one hue likewise what is above half the luma of that hue;
- where the colour is the same everywhere and the transparency is not, what is opaque.

Label maps, two classes in two colours, and masks without a dark background are refused: whichever
threshold were taken, it would be a guess. So is a mask with its vessel in another colour than the
masks of its dataset have (white where one is white, else that of most): it may show another class.

Imported where it is used, not at the top of a reader: listing the sources must not load numpy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter

from benchmark.data.formats.images import DecodedImage, read_image, rgb_to_grayscale
from benchmark.data.frame import UnreadableFrame

Paint = int | tuple[int, int, int] | None

_SEVERAL = "several colours or levels, one of which may not be vessel"
_NO_GROUND = "no dark background"

_HALF = 127
_DARK = 64
"""A background is darker than this, of 255."""

_SAME_GREY = 8
"""Channels that differ by no more are grey: JPEG rounds them apart."""

_SAME_HUE = 0.5
"""Largest difference of two colours of one hue, as shares of their brightest channel."""

_SAME_PAINT = 96
"""Largest difference, of 255, of one paint in two files: JPEG blurs the colours of thin vessels."""

_BLUR = 8
"""What is brighter than the background by blur or JPEG noise has vessel within so many pixels: JPEG
spreads errors over blocks of 8×8."""

_FEW, _EDGE = 4, 2
"""A mask of so few levels has no such noise, and soft edges at most, within so many pixels."""

_COLOUR_NOISE = 24
"""In coloured JPEG files the channels of the colour, at half the resolution, are noisy over blocks
of 16×16; as luma of the vessel's own colour it stays below this."""

_STRAY = 0.02
"""More pixels than this share of the vessel that are not explained like this are another class.
Measured on the masks of DCA1 and synthetic ones: 0.9 % at JPEG quality 10, 0 from 30 on; two
classes, whatever their shares, 3 % and more."""


class VesselMask(NamedTuple):
    """A mask as it was read.

    Attributes:
        vessel: bool, H×W.
        paint: what the vessel was painted in: None for white, a bright grey or 1; another grey
            level; or a colour.
    """

    vessel: np.ndarray
    paint: Paint


def read_mask(path: Path) -> VesselMask:
    """Read the mask of one class.

    Raises:
        UnreadableFrame: the file cannot be read (see `read_image`), or what is vessel cannot be
            told.
        OSError: the disk or the system failed; this is not a property of the file.
    """
    values = _values(read_image(path))
    return _from_grey(values) if values.ndim == 2 else _from_colour(values)


def common_paint(paints: Iterable[Paint]) -> Paint:
    """What the vessels of a dataset are painted in: white where one is, else what most are."""
    counts = Counter(paints)

    def alike(paint: Paint) -> int:
        return sum(count for other, count in counts.items() if same_paint(paint, other))

    return None if None in counts else max(counts, key=alike, default=None)


def same_paint(first: Paint, second: Paint) -> bool:
    """Whether two masks of one dataset may mean the same class by what they are painted in."""
    if isinstance(first, tuple) and isinstance(second, tuple):
        return max(abs(a - b) for a, b in zip(first, second)) <= _SAME_PAINT
    return first == second


def _values(picture: DecodedImage) -> np.ndarray:
    """Levels H×W (grey, or the transparency where it is the mask), or colours H×W×3."""
    colours = picture.colours
    alpha = picture.values[..., -1] if picture.values.shape[2] in {2, 4} else None
    if picture.depths != (8,):
        colours = _deep(picture.white_level() - colours if picture.white_is_zero else colours)
    if alpha is not None and alpha.min() != alpha.max():
        seen = colours[alpha > 0]
        if (np.ptp(seen, axis=0) <= _SAME_GREY).all():
            return _deep(alpha)
        if colours[alpha < np.iinfo(alpha.dtype).max].any():
            raise UnreadableFrame("both colour and transparency vary")
    if colours.shape[2] == 1:
        return colours[..., 0]
    colours = np.rint(colours).astype(np.uint8)
    return rgb_to_grayscale(colours) if np.ptp(colours, axis=-1).max() <= _SAME_GREY else colours


def _deep(values: np.ndarray) -> np.ndarray:
    """Levels of more than 8 bits, brought to 0–255 by the largest where they reach beyond."""
    if not np.isfinite(values).all() or values.min() < 0:
        raise UnreadableFrame("values below 0 or not finite")
    return values * (255 / values.max()) if values.max() > 255 else values


def _from_grey(levels: np.ndarray) -> VesselMask:
    known = np.unique(levels)
    if known.size <= 2:
        # A constant mask is all background where it is 0, and all vessel where it is 1 or bright.
        low, high = (known[0], known[1]) if known.size == 2 else (0, known[0])
        if low >= _DARK or (known.size == 1 and 1 < high <= _HALF):
            raise UnreadableFrame(_NO_GROUND)
        paint = None if high <= 1 or high > _HALF else int(high)
        return VesselMask((levels == high) & (high > 0), paint)
    return VesselMask(_bright(levels), None)


def _bright(levels: np.ndarray, noise: int = 0) -> np.ndarray:
    """What is above half in a mask of many levels, if the others can be blur or JPEG noise.

    Args:
        levels: H×W, 0–255.
        noise: levels above the background that are taken for it, wherever they are.
    """
    vessel = levels > _HALF
    if not vessel.any():
        raise UnreadableFrame("values neither 0 and 1 nor above 127")
    if vessel.all():
        raise UnreadableFrame(_NO_GROUND)
    known, count = np.unique(levels, return_counts=True)
    ground = known[np.where(known > _HALF, 0, count).argmax()]
    reach = _EDGE if known.size <= _FEW else _BLUR
    stray = (levels > ground + noise) & ~vessel & ~_near(vessel, reach)
    # Thin vessels that were scaled down are grey all over, but not all of one grey.
    middle = vessel & (levels <= 207) & ~_near(levels > 207, reach)
    if stray.sum() > _STRAY * vessel.sum() or (
        middle.sum() > _STRAY * vessel.sum()
        and np.unique(levels[middle], return_counts=True)[1].max() * 2 > middle.sum()
    ):
        raise UnreadableFrame(_SEVERAL)
    return vessel


def _near(pixels: np.ndarray, reach: int) -> np.ndarray:
    return maximum_filter(pixels, size=2 * reach + 1, mode="constant")


def _from_colour(colours: np.ndarray) -> VesselMask:
    luma = colours @ np.array([0.299, 0.587, 0.114])
    codes = colours.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    if np.unique(codes).size == 2:
        vessel = luma == luma.max()
        if luma.min() >= _DARK or luma.min() == luma.max():
            raise UnreadableFrame(_NO_GROUND)
        return VesselMask(vessel, _median(colours[vessel]))
    brightest = colours.max(axis=-1)
    paint = _median(colours[brightest > 0.75 * brightest.max()])
    full = np.array([0.299, 0.587, 0.114]) @ np.array(paint)
    vessel = _bright(np.minimum(luma * (255 / max(full, 1)), 255), _COLOUR_NOISE)
    hues = colours[vessel] / brightest[vessel, None]
    strange = np.abs(hues - np.array(paint) / max(paint)).max(axis=-1) > _SAME_HUE
    if strange.mean() > _STRAY:
        raise UnreadableFrame(_SEVERAL)
    return VesselMask(vessel, paint)


def _median(colours: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = np.median(colours, axis=0).astype(int).tolist()
    return red, green, blue
