"""Rasterising tubes: X-ray path length through chains of capsules, and the label of each pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_HALF_PIXEL = 0.5  # a lumen thinner than a pixel still marks the pixels its centreline runs through
_APERTURE = 0.35  # radius in pixels over which a detector element averages
_LABEL_BITS = 5


class Capsules(NamedTuple):
    """Straight pieces of vessel in the image plane. All lengths in pixels; arrays of length K."""

    start: np.ndarray  # K×2, (x, y); the centre of the first pixel is (0, 0)
    end: np.ndarray  # K×2
    radius: np.ndarray
    weight: np.ndarray  # factor on the path length: contrast concentration, foreshortening, unit
    layer: np.ndarray  # int; overlapping pieces add up across layers, not within one
    label: np.ndarray  # int 0..31; 0 attenuates but is not vessel

    def where(self, chosen: np.ndarray) -> Capsules:
        """The capsules that a mask selects."""
        return Capsules(*(array[chosen] for array in self))


def _footprints(
    capsules: Capsules, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(capsule, flat pixel, squared distance to the axis) of every pixel a capsule may cover.

    Capsules are drawn in groups of similar extent, so that each group is one array operation.
    """
    middle = np.rint((capsules.start + capsules.end) / 2)
    reach = np.abs(capsules.end - capsules.start).max(axis=1) / 2 + capsules.radius + 1
    visible = ((middle > -reach[:, None]) & (middle < size + reach[:, None])).all(axis=1)
    half = np.ceil(reach).astype(int)
    for extent in np.unique(half[visible]):
        chosen = np.flatnonzero(visible & (half == extent))
        offsets = np.arange(-extent, extent + 1, dtype=np.float32)
        centre = middle[chosen].astype(np.float32)
        first = capsules.start[chosen].astype(np.float32)
        axis = capsules.end[chosen].astype(np.float32) - first
        x = centre[:, :1] + offsets
        y = centre[:, 1:] + offsets
        from_x = (x - first[:, :1])[:, None, :]
        from_y = (y - first[:, 1:])[:, :, None]
        length = np.maximum((axis**2).sum(axis=1), 1e-6)
        axis_x, axis_y = axis[:, 0, None, None], axis[:, 1, None, None]
        share = (from_x * axis_x + from_y * axis_y) / length[:, None, None]
        np.clip(share, 0, 1, out=share)
        distance = (from_x - share * axis_x) ** 2 + (from_y - share * axis_y) ** 2
        inside = ((x >= 0) & (x < size))[:, None, :] & ((y >= 0) & (y < size))[:, :, None]
        limit = (capsules.radius[chosen] + _HALF_PIXEL).astype(np.float32) ** 2
        piece, row, column = np.nonzero(inside & (distance < limit[:, None, None]))
        pixel = (y[piece, row] * size + x[piece, column]).astype(np.int64)
        yield chosen[piece], pixel, distance[piece, row, column]


def draw(capsules: Capsules, size: int, layers: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw capsules on a square image.

    Returns:
        Weighted path length through all capsules, float32 size×size, and the label map, uint8
        size×size. Where vessels overlap the label is that of the longest path; a pixel belongs to
        a vessel when its centre is no further from the centreline than the radius (at least half
        a pixel).
    """
    length = np.zeros(layers * size * size, np.float32)
    owner = np.zeros(size * size, np.int32)
    radius = capsules.radius.astype(np.float32)
    # A detector element averages the chord profile: widen it, and keep the cross-section's area.
    wide = np.sqrt(radius**2 + np.float32(_APERTURE**2))
    factor = (2 * capsules.weight * radius**2 / wide**2).astype(np.float32)
    border = np.maximum(radius, _HALF_PIXEL) ** 2
    plane = (capsules.layer * size * size).astype(np.int64)
    label = capsules.label.astype(np.int32)
    for piece, pixel, distance in _footprints(capsules, size):
        chord = np.sqrt(np.maximum(wide[piece] ** 2 - distance, 0))
        np.maximum.at(length, plane[piece] + pixel, chord * factor[piece])
        vessel = (distance <= border[piece]) & (label[piece] > 0)
        # The label is in the low bits of a fixed-point chord, so that one maximum finds both.
        key = ((chord[vessel] + 0.01) * 65536).astype(np.int32) << _LABEL_BITS
        np.maximum.at(owner, pixel[vessel], key | label[piece[vessel]])
    labels = (owner & ((1 << _LABEL_BITS) - 1)).astype(np.uint8)
    return length.reshape(layers, size, size).sum(axis=0), labels.reshape(size, size)


def cover(capsules: Capsules, size: int) -> np.ndarray:
    """Pixels of the capsules by the rule of `draw`, bool size×size."""
    mask = np.zeros(size * size, bool)
    border = np.maximum(capsules.radius, _HALF_PIXEL) ** 2
    for piece, pixel, distance in _footprints(capsules, size):
        mask[pixel[distance <= border.astype(np.float32)[piece]]] = True
    return mask.reshape(size, size)
