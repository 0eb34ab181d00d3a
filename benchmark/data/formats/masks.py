"""One rule for reading binary masks: which pixels are vessel, or why the mask is ambiguous.

A mask shows a dark background and the vessel in one other colour, with mixtures of both along the
edges. Vessel is

- in a mask of two colours (0 and 1, black and red, two palette entries): the brighter one;
- in a grayscale mask of more levels: values above 127; anti-aliased edges and JPEG noise lie next
  to a bright vessel, which distinguishes them from a second class;
- in a mask of one hue: luma above half of that hue's;
- where colour is constant and transparency is not: opaque pixels.

Label maps, two classes in two colours, and masks without a dark background are refused: any
threshold would be a guess. So is a mask whose vessel colour differs from that of its dataset (white
if any mask has it, else the most frequent one): it may show another class.

Readers import it lazily: listing the sources must not load numpy.
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

MaskColour = int | tuple[int, int, int] | None

_SEVERAL = "more than two colours or levels, one of which may not be vessel"
_NO_BACKGROUND = "no dark background"

_HALF = 127
_DARK = 64
"""The background is darker than this, of 255."""

_GRAY_TOLERANCE = 8
"""Channels that differ by at most this are gray; JPEG rounds each on its own."""

_HUE_TOLERANCE = 0.5
"""Largest difference between two colours of one hue, relative to their brightest channels."""

_SAME_COLOUR = 96
"""Largest difference, of 255, of one colour between files; JPEG blurs that of thin vessels."""

_BLUR_REACH = 8
"""Blur and JPEG noise lie within this many pixels of a vessel: JPEG works on 8×8 blocks."""

_FEW_LEVELS, _EDGE_REACH = 4, 2
"""A mask of so few levels has no such noise, only soft edges within this many pixels."""

_CHROMA_NOISE = 24
"""Subsampled JPEG chroma is noisy over 16×16 blocks; in luma scaled to the vessel colour, the noise
stays below this."""

_STRAY = 0.02
"""More unexplained pixels than this fraction of the vessel mean another class. Measured on masks of
DCA1 and synthetic ones: 0.9 % at JPEG quality 10 and 0 from quality 30; with two classes, in any
proportion, at least 3 %."""


class VesselMask(NamedTuple):
    """A mask as read.

    Attributes:
        vessel: bool, H×W.
        colour: vessel colour; None for white, bright gray or 1, else a gray level or RGB.
    """

    vessel: np.ndarray
    colour: MaskColour


def read_mask(path: Path) -> VesselMask:
    """Read a binary mask; `UnreadableFrame` if it is ambiguous or unreadable."""
    values = _values(read_image(path))
    return _from_grayscale(values) if values.ndim == 2 else _from_colour(values)


def dominant_colour(colours: Iterable[MaskColour]) -> MaskColour:
    """The vessel colour of a dataset: white if any mask has it, else the most frequent one."""
    counts = Counter(colours)

    def frequency(colour: MaskColour) -> int:
        return sum(count for other, count in counts.items() if same_colour(colour, other))

    return None if None in counts else max(counts, key=frequency, default=None)


def same_colour(first: MaskColour, second: MaskColour) -> bool:
    """Whether the vessel colours of two masks may denote the same class."""
    if isinstance(first, tuple) and isinstance(second, tuple):
        return max(abs(a - b) for a, b in zip(first, second)) <= _SAME_COLOUR
    return first == second


def _values(image: DecodedImage) -> np.ndarray:
    """Levels H×W (gray, or the alpha channel where it is the mask), or colours H×W×3."""
    colours = image.colours
    alpha = image.values[..., -1] if image.values.shape[2] in {2, 4} else None
    if image.depths != (8,):
        colours = _to_8_bit_range(image.white_level() - colours if image.white_is_zero else colours)
    if alpha is not None and alpha.min() != alpha.max():
        visible = colours[alpha > 0]
        if (np.ptp(visible, axis=0) <= _GRAY_TOLERANCE).all():
            return _to_8_bit_range(alpha)
        if colours[alpha < np.iinfo(alpha.dtype).max].any():
            raise UnreadableFrame("both colour and transparency vary")
    if colours.shape[2] == 1:
        return colours[..., 0]
    colours = np.rint(colours).astype(np.uint8)
    return (
        rgb_to_grayscale(colours) if np.ptp(colours, axis=-1).max() <= _GRAY_TOLERANCE else colours
    )


def _to_8_bit_range(values: np.ndarray) -> np.ndarray:
    """Scale levels to 0–255 if their maximum exceeds 255."""
    if not np.isfinite(values).all() or values.min() < 0:
        raise UnreadableFrame("values below 0 or not finite")
    return values * (255 / values.max()) if values.max() > 255 else values


def _from_grayscale(levels: np.ndarray) -> VesselMask:
    known = np.unique(levels)
    if known.size <= 2:
        # A constant mask is all background if it is 0, and all vessel if it is 1 or bright.
        low, high = (known[0], known[1]) if known.size == 2 else (0, known[0])
        if low >= _DARK or (known.size == 1 and 1 < high <= _HALF):
            raise UnreadableFrame(_NO_BACKGROUND)
        colour = None if high <= 1 or high > _HALF else int(high)
        return VesselMask((levels == high) & (high > 0), colour)
    return VesselMask(_bright(levels), None)


def _bright(levels: np.ndarray, noise: int = 0) -> np.ndarray:
    """Pixels above 127 in a mask of many levels, if blur or JPEG noise explains the others.

    Levels up to `noise` above the background count as background everywhere.
    """
    vessel = levels > _HALF
    if not vessel.any():
        raise UnreadableFrame("values neither 0 and 1 nor above 127")
    if vessel.all():
        raise UnreadableFrame(_NO_BACKGROUND)
    known, count = np.unique(levels, return_counts=True)
    background = known[np.where(known > _HALF, 0, count).argmax()]
    reach = _EDGE_REACH if known.size <= _FEW_LEVELS else _BLUR_REACH
    stray = (levels > background + noise) & ~vessel & ~_near(vessel, reach)
    # Downscaled thin vessels are gray throughout, but not uniformly so.
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
            raise UnreadableFrame(_NO_BACKGROUND)
        return VesselMask(vessel, _median(colours[vessel]))
    brightest = colours.max(axis=-1)
    colour = _median(colours[brightest > 0.75 * brightest.max()])
    full = np.array([0.299, 0.587, 0.114]) @ np.array(colour)
    vessel = _bright(np.minimum(luma * (255 / max(full, 1)), 255), _CHROMA_NOISE)
    hues = colours[vessel] / brightest[vessel, None]
    deviating = np.abs(hues - np.array(colour) / max(colour)).max(axis=-1) > _HUE_TOLERANCE
    if deviating.mean() > _STRAY:
        raise UnreadableFrame(_SEVERAL)
    return VesselMask(vessel, colour)


def _median(colours: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = np.median(colours, axis=0).astype(int).tolist()
    return red, green, blue
