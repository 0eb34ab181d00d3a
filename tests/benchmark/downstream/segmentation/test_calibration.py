"""Calibration against scikit-learn and torchmetrics, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss
from torchmetrics.classification import BinaryCalibrationError

from benchmark.downstream.segmentation.calibration import BINS, Calibration


def pixels(seed: int, shape: tuple[int, ...] = (2, 40, 50)) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of an over-confident model, and the truth."""
    rng = np.random.default_rng(seed)
    likely = rng.beta(0.3, 2.0, shape)
    sharper = likely**3 / (likely**3 + (1 - likely) ** 3)
    return sharper.astype(np.float32), rng.random(shape) < likely


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn_and_torchmetrics(seed):
    probabilities, truth = pixels(seed)
    found = Calibration.of(probabilities, truth)
    brier = brier_score_loss(truth.ravel(), probabilities.ravel().astype(float))
    assert found.brier == pytest.approx(100 * brier, rel=1e-9)
    theirs = BinaryCalibrationError(n_bins=BINS, norm="l1")
    ece = theirs(torch.from_numpy(probabilities).double(), torch.from_numpy(truth).long())
    assert found.ece == pytest.approx(100 * float(ece), rel=1e-5)
    assert found.ece > 1


def test_images_of_any_sizes_are_pooled():
    """The score of all pixels, which is not the mean of the scores of the images."""
    parts = [pixels(seed, shape) for seed, shape in ((1, (1, 8, 9)), (2, (1, 40, 50)))]
    pooled = Calibration.of(*parts[0]) + Calibration.of(*parts[1])
    together = Calibration.of(
        *(np.concatenate([one.ravel() for one in pair]) for pair in zip(*parts))
    )
    assert pooled.scores == pytest.approx(together.scores, rel=1e-12)
    mean = np.mean([Calibration.of(*pair).ece for pair in parts])
    assert abs(pooled.ece - mean) > 0.1


def test_by_hand():
    """Four pixels at 0.7, two of them vessel, and two in the last bin, 1 (vessel) and 0.95."""
    probabilities = np.array([0.7, 0.7, 0.7, 0.7, 1.0, 0.95])
    truth = np.array([True, True, False, False, True, False])
    found = Calibration.of(probabilities, truth)
    # |4·0.7 − 2| = 0.8 and |1.95 − 1| = 0.95, of six pixels.
    assert found.ece == pytest.approx(100 * (0.8 + 0.95) / 6)
    assert found.brier == pytest.approx(100 * (2 * 0.09 + 2 * 0.49 + 0.95**2) / 6)


def test_certain_and_right_is_perfect_and_not_a_number_stays_one():
    truth = np.array([True, False])
    assert Calibration.of(truth.astype(np.float32), truth).scores == {"ece": 0, "brier": 0}
    broken = Calibration.of(np.array([np.nan, 0.5], np.float32), truth)
    assert np.isnan(broken.ece)
    assert np.isnan(broken.brier)
