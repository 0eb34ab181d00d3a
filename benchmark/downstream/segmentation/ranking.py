"""Ranking of pixels by the probabilities of a segmentor, without a threshold for the mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVELS = 8192
_END = 16.0
"""Levels have equal widths in the logit, from -16 to 16, the limit of float32 near 1."""


@dataclass(frozen=True)
class PixelRanking:
    """Pixels counted by the level of their probability; the counts of two sets add up.

    Attributes:
        counts: 2×LEVELS: pixels whose truth lacks the class, and those whose truth has it.
    """

    counts: np.ndarray

    @classmethod
    def of(cls, probabilities: np.ndarray, truth: np.ndarray) -> PixelRanking:
        """From probabilities in [0, 1] and a truth, bool, of equal shape."""
        p, t = probabilities.ravel().astype(np.float64), truth.ravel()
        if np.isnan(p).any():
            return cls(np.full((2, LEVELS), np.nan))
        with np.errstate(divide="ignore"):
            logits = np.log(p) - np.log1p(-p)
        share = (np.clip(logits, -_END, _END) + _END) / (2 * _END)
        level = np.minimum((share * LEVELS).astype(int), LEVELS - 1)
        counts = np.bincount(level + LEVELS * t, minlength=2 * LEVELS)
        return cls(counts.reshape(2, LEVELS).astype(np.float64))

    def __add__(self, other: PixelRanking) -> PixelRanking:
        return PixelRanking(self.counts + other.counts)

    @property
    def average_precision(self) -> float:
        """In percent, as scikit-learn's with equal scores within a level; NaN without positives.

        Σ over levels from the top of (the share of positives found there × precision down to it).
        """
        negative, positive = self.counts[:, ::-1]
        found = positive.cumsum()
        if not found[-1] > 0:
            return float("nan")
        precision = found / np.maximum(found + negative.cumsum(), 1)
        return 100 * float((positive * precision).sum() / found[-1])

    @property
    def scores(self) -> dict[str, float]:
        """The average precision by its name in a record."""
        return {"pixel_ap": self.average_precision}

    @staticmethod
    def definitions(classes: int) -> dict[str, str]:
        """Definition ids, without the size of the masks.

        Args:
            classes: without the background.
        """
        pixels = "all-pixels" if classes == 1 else "all-pixels-and-classes"
        return {"pixel_ap": f"average-precision/pooled-over-{pixels}/{LEVELS}-levels-of-the-logit"}
