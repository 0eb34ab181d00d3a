"""Finding the same angiogram again: after a flip, a change of contrast, resizing or compression.

Angiograms of different patients share much of what a perceptual hash looks at: the vignette, the
collimator's edge, the place of heart and diaphragm. So a picture is first normalised locally, which
leaves vessels and the texture of the background, and only then described by its low frequencies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

SIDE = 64
"""Side of the thumbnails in pixels."""

FREQUENCIES = 24
"""Frequencies kept in each direction; finer ones are lost to JPEG and to small originals."""

COARSE = 12
"""Frequencies in each direction that decide which pairs are compared at every shift."""

CANDIDATE = 0.55
"""Cosine of the coarse descriptors from which a pair is compared."""

SIMILAR = 0.7
"""Correlation from which two pictures count as the same scene, see `NearDuplicates`."""

SHIFT = 3
"""Largest shift in pixels of the thumbnail, 4.7 % of the picture's side."""

PARAMETERS: dict[str, int | float] = {
    "side": SIDE,
    "frequencies": FREQUENCIES,
    "coarse": COARSE,
    "candidate": CANDIDATE,
    "similar": SIMILAR,
    "shift": SHIFT,
}
"""Everything that decides which pairs are found."""

FLIPS = ("none", "horizontal", "vertical", "both")

_WINDOW = 4.0  # standard deviation of the local window, in pixels of the thumbnail
_FLOOR = 0.1  # least local contrast, as a share of the picture's: noise in flat areas stays small
_CLIP = 3.0  # in local standard deviations: the collimator's edge must not outweigh the vessels


class Match(NamedTuple):
    """Two pictures of one scene: their numbers, their correlation and the flip between them."""

    row: int
    query: int
    score: float
    flip: str


def _dct_basis() -> np.ndarray:
    """Rows are the first orthonormal DCT-II basis functions of length `SIDE`."""
    k, n = np.mgrid[:FREQUENCIES, :SIDE]
    basis = np.cos(np.pi * k * (2 * n + 1) / (2 * SIDE)) * np.sqrt(2 / SIDE)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


def _flip_signs() -> np.ndarray:
    """Signs that flip a picture in the DCT domain, float32, 4×F×F, in the order of `FLIPS`.

    A flip turns the odd basis functions of its axis round and leaves the even ones as they are.
    """
    odd = np.where(np.arange(FREQUENCIES) % 2, -1, 1).astype(np.float32)
    one = np.ones_like(odd)
    return np.stack([np.outer(v, h) for v, h in ((one, one), (one, odd), (odd, one), (odd, odd))])


_BASIS = _dct_basis()
_SIGNS = _flip_signs()


def image_signature(pixels: np.ndarray) -> np.ndarray:
    """Low frequencies of the locally normalised picture, float32, 24×24.

    The picture becomes a 64×64 thumbnail; each pixel is set in relation to the mean and the
    standard deviation around it, so that a change of brightness, contrast or gamma, which is nearly
    linear inside a small window, leaves little trace. A DCT without its constant follows.

    Args:
        pixels: uint8, H×W, at least 1×1. The aspect is not kept: a scene whose scale differs
            between the axes is still found.
    """
    shrink = min(pixels.shape) >= SIDE
    method = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
    # Floating point, since low-contrast pictures would lose their texture to rounding.
    small = cv2.resize(pixels.astype(np.float32), (SIDE, SIDE), interpolation=method)
    difference = small - _local_mean(small)
    floor = _FLOOR**2 * difference.var() + np.float32(1e-6)
    normal = difference / np.sqrt(_local_mean(difference**2) + floor)
    frequencies = _BASIS @ np.clip(normal, -_CLIP, _CLIP) @ _BASIS.T
    frequencies[0, 0] = 0
    return frequencies


def _local_mean(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), _WINDOW, borderType=cv2.BORDER_REFLECT)


def _coarse(fingerprints: np.ndarray) -> np.ndarray:
    """Descriptors of unit length, N×F×F to N×144; zeros where a picture has no structure."""
    low = fingerprints[:, :COARSE, :COARSE].reshape(-1, COARSE * COARSE)
    length = np.linalg.norm(low, axis=1, keepdims=True)
    return np.divide(low, length, out=np.zeros_like(low), where=length > 1e-6)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Largest normalised cross-correlation of two fingerprints over all shifts up to `SHIFT`.

    The thumbnails are rebuilt from their frequencies; the correlation (-1…1) is over their common
    area, without the outermost `SHIFT` pixels of the second.
    """
    fixed, moved = (_BASIS.T @ one @ _BASIS for one in (first, second))
    template = np.ascontiguousarray(moved[SHIFT:-SHIFT, SHIFT:-SHIFT])
    return float(cv2.matchTemplate(fixed, template, cv2.TM_CCOEFF_NORMED).max())


class NearDuplicates:
    """A set of pictures in which near-duplicates of others are looked up.

    Two pictures are near-duplicates where, in one of the four flips, their coarse descriptors have
    a cosine of at least `CANDIDATE` and their thumbnails a `correlation` of at least `SIMILAR`.
    Meant to be found: one frame after gamma, contrast, brightness, flips, resizing and JPEG in any
    combination, and after a shift or a crop of 2 % of the side or a rotation of 2°. Neighbouring
    frames of one sequence are mostly found too. Stronger crops and rotations may be missed.

    Args:
        pictures: uint8, H×W each, of any sizes; about 3 kB of each are kept.
    """

    def __init__(self, pictures: Iterable[np.ndarray]) -> None:
        self._fingerprints = _stack(pictures)
        self._coarse = _coarse(self._fingerprints)

    def __len__(self) -> int:
        return len(self._fingerprints)

    def find(self, queries: Sequence[np.ndarray]) -> list[Match]:
        """Near-duplicates of a block of pictures.

        Memory grows with the product of their number and that of the set; 256 are a good block.

        Args:
            queries: uint8, H×W each.

        Returns:
            One `Match` per pair, `row` counting in this set and `query` in `queries`, in the order
            of (query, row); the better one of several flips. Scores have three decimals.
        """
        found: dict[tuple[int, int], Match] = {}
        fingerprints = _stack(queries)
        for flip, signs in zip(FLIPS, _SIGNS):
            flipped = fingerprints * signs
            close = _coarse(flipped) @ self._coarse.T >= CANDIDATE
            for query, row in zip(*(axis.tolist() for axis in np.nonzero(close))):
                score = round(correlation(self._fingerprints[row], flipped[query]), 3)
                best = found.get((query, row))
                if score >= SIMILAR and (best is None or score > best.score):
                    found[query, row] = Match(row, query, score, flip)
        return [found[pair] for pair in sorted(found)]


def _stack(pictures: Iterable[np.ndarray]) -> np.ndarray:
    fingerprints = [image_signature(pixels) for pixels in pictures]
    return np.stack(fingerprints) if fingerprints else np.empty((0, *_SIGNS.shape[1:]), np.float32)
