"""Calibration of the probabilities of a segmentor: whether 80 % means four in five.

Every pixel of every class is one yes-or-no question: the probability p of the class, and whether
the truth has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """The sums from which the scores of a set of pixels follow; those of two sets add up.

    Attributes:
        count: pixels in each bin of p.
        confidence: sum of p in each bin.
        positive: pixels in each bin whose truth has the class.
        squared: sum of (p − t)², t being 1 where the truth has the class, else 0.
    """

    count: np.ndarray
    confidence: np.ndarray
    positive: np.ndarray
    squared: float

    @classmethod
    def of(cls, probabilities: np.ndarray, truth: np.ndarray) -> Calibration:
        """From probabilities in [0, 1] and a truth, bool, of equal shape."""
        p, t = probabilities.ravel().astype(np.float64), truth.ravel()
        # Bins of equal width, [k/15, (k+1)/15), the last one closed. NaN falls into the first and
        # propagates to the scores.
        place = np.clip((np.nan_to_num(p) * BINS).astype(int), 0, BINS - 1)
        count, confidence, positive = (
            np.bincount(place, weights, BINS).astype(np.float64) for weights in (None, p, t)
        )
        return cls(count, confidence, positive, float(((p - t) ** 2).sum()))

    def __add__(self, other: Calibration) -> Calibration:
        return Calibration(
            self.count + other.count,
            self.confidence + other.confidence,
            self.positive + other.positive,
            self.squared + other.squared,
        )

    @property
    def ece(self) -> float:
        """Expected calibration error in percent (Naeini et al., AAAI 2015; Guo et al., ICML 2017).

        Σ_bins |mean of p − share of positive pixels|, weighted by the share of all pixels.
        """
        return 100 * float(np.abs(self.confidence - self.positive).sum() / self.count.sum())

    @property
    def brier(self) -> float:
        """Brier score in percent: the mean of (p − t)²."""
        return 100 * self.squared / float(self.count.sum())

    @property
    def scores(self) -> dict[str, float]:
        """ECE and Brier score by their names in a record."""
        return {"ece": self.ece, "brier": self.brier}

    @staticmethod
    def definitions(classes: int) -> dict[str, str]:
        """Definition ids, without the size of the masks.

        Args:
            classes: without the background.
        """
        pixels = "all-pixels" if classes == 1 else "all-pixels-and-classes"
        return {
            "ece": f"ece/l1/{BINS}-bins-of-equal-width/pooled-over-{pixels}",
            "brier": f"brier/mean-over-{pixels}",
        }
