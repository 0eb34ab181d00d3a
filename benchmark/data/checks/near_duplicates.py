"""Detecting the same angiogram after flips, contrast changes, resizing or compression.

Angiograms of different patients share much of what a perceptual hash measures: vignetting, the
collimator edge, the position of heart and diaphragm. Images are therefore normalised locally first,
which leaves vessels and background texture, and then described by their low frequencies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from scipy.fft import dct

THUMBNAIL_SIDE = 64
"""Side of the thumbnails in pixels."""

FREQUENCIES = 24
"""Frequencies kept per axis; higher ones are lost to JPEG compression and in small originals."""

COARSE = 12
"""Frequencies per axis of the coarse descriptors, which select the pairs to compare."""

CANDIDATE = 0.55
"""Minimum cosine of the coarse descriptors for a pair to be compared."""

SIMILAR = 0.7
"""Minimum correlation of two images of the same scene, see `NearDuplicates`."""

SHIFT = 3
"""Largest shift in pixels of the thumbnail, 4.7 % of the image's side."""

PARAMETERS: dict[str, int | float] = {
    "side": THUMBNAIL_SIDE,
    "frequencies": FREQUENCIES,
    "coarse": COARSE,
    "candidate": CANDIDATE,
    "similar": SIMILAR,
    "shift": SHIFT,
}
"""All parameters that determine which pairs are found."""

FLIPS = ("none", "horizontal", "vertical", "both")

_WINDOW = 4.0  # standard deviation of the local window, in pixels of the thumbnail
_FLOOR = 0.1  # minimum local contrast, relative to the image's; keeps noise in flat areas small
_CLIP = 3.0  # in local standard deviations; keeps the collimator edge from outweighing vessels


class Match(NamedTuple):
    """Two images of one scene: their indices, their correlation and the flip between them."""

    row: int
    query: int
    score: float
    flip: str


def _flip_signs() -> np.ndarray:
    """Signs that flip an image in the DCT domain, float32, 4×F×F, in the order of `FLIPS`.

    A flip negates the odd basis functions of its axis and leaves the even ones unchanged.
    """
    odd = np.where(np.arange(FREQUENCIES) % 2, -1, 1).astype(np.float32)
    one = np.ones_like(odd)
    return np.stack([np.outer(v, h) for v, h in ((one, one), (one, odd), (odd, one), (odd, odd))])


# Rows are the first orthonormal DCT-II basis functions.
_BASIS = dct(np.eye(THUMBNAIL_SIDE), axis=0, norm="ortho")[:FREQUENCIES].astype(np.float32)
_SIGNS = _flip_signs()


def image_signature(pixels: np.ndarray) -> np.ndarray:
    """Low frequencies of the locally normalised image, float32, 24×24.

    The image is resized to a 64×64 thumbnail and normalised by local mean and standard deviation;
    changes of brightness, contrast or gamma are nearly linear inside a small window and have little
    effect. A DCT without its DC term follows. The aspect ratio is not kept, so that a scene scaled
    differently along its axes is still found.
    """
    shrink = min(pixels.shape) >= THUMBNAIL_SIDE
    method = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
    # In floating point: rounding would remove the texture of low-contrast images.
    small = cv2.resize(
        pixels.astype(np.float32), (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=method
    )
    difference = small - _local_mean(small)
    floor = _FLOOR**2 * difference.var() + np.float32(1e-6)
    normal = difference / np.sqrt(_local_mean(difference**2) + floor)
    frequencies = _BASIS @ np.clip(normal, -_CLIP, _CLIP) @ _BASIS.T
    frequencies[0, 0] = 0
    return frequencies


def _local_mean(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), _WINDOW, borderType=cv2.BORDER_REFLECT)


def _coarse(signatures: np.ndarray) -> np.ndarray:
    """Unit-norm descriptors, N×F×F to N×144; zeros for an image without structure."""
    low = signatures[:, :COARSE, :COARSE].reshape(-1, COARSE * COARSE)
    length = np.linalg.norm(low, axis=1, keepdims=True)
    return np.divide(low, length, out=np.zeros_like(low), where=length > 1e-6)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Largest normalised cross-correlation of two signatures over all shifts up to `SHIFT`.

    The thumbnails are reconstructed from their frequencies; the correlation (-1…1) is over their
    overlap, without the outermost `SHIFT` pixels of the second.
    """
    fixed, moved = (_BASIS.T @ one @ _BASIS for one in (first, second))
    template = np.ascontiguousarray(moved[SHIFT:-SHIFT, SHIFT:-SHIFT])
    return float(cv2.matchTemplate(fixed, template, cv2.TM_CCOEFF_NORMED).max())


class NearDuplicates:
    """A set of images that is searched for near-duplicates of others.

    Two images are near-duplicates if, in one of the four flips, the cosine of their coarse
    descriptors is at least `CANDIDATE` and the `correlation` of their thumbnails at least
    `SIMILAR`. This is robust to gamma, contrast, brightness, flips, resizing and JPEG in any
    combination, and to a shift or crop of 2 % of the side or a rotation of 2°. Adjacent frames of a
    sequence are mostly found too; larger crops and rotations may be missed.

    Args:
        images: uint8, H×W each, of any size; about 3 kB are kept per image.
    """

    def __init__(self, images: Iterable[np.ndarray]) -> None:
        self._signatures = _stack(images)
        self._coarse = _coarse(self._signatures)

    def __len__(self) -> int:
        return len(self._signatures)

    def find(self, queries: Sequence[np.ndarray]) -> list[Match]:
        """Near-duplicates of a block of images, uint8, H×W each.

        Memory grows with their number times the size of the set; use blocks of about 256.

        Returns:
            One `Match` per pair, for the best flip, ordered by (query, row); `row` indexes this set
            and `query` the `queries`. Scores are rounded to three decimals.
        """
        found: dict[tuple[int, int], Match] = {}
        signatures = _stack(queries)
        for flip, signs in zip(FLIPS, _SIGNS):
            flipped = signatures * signs
            close = _coarse(flipped) @ self._coarse.T >= CANDIDATE
            for query, row in zip(*(axis.tolist() for axis in np.nonzero(close))):
                score = round(correlation(self._signatures[row], flipped[query]), 3)
                best = found.get((query, row))
                if score >= SIMILAR and (best is None or score > best.score):
                    found[query, row] = Match(row, query, score, flip)
        return [found[pair] for pair in sorted(found)]


def _stack(images: Iterable[np.ndarray]) -> np.ndarray:
    signatures = [image_signature(pixels) for pixels in images]
    return np.stack(signatures) if signatures else np.empty((0, *_SIGNS.shape[1:]), np.float32)
