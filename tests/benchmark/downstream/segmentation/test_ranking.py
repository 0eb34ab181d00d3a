"""The average precision of pixels is scikit-learn's, and that of a split pools its pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from benchmark.downstream.segmentation.metrics import SegmentationMetric
from benchmark.downstream.segmentation.ranking import LEVELS, PixelRanking


def sigmoid(x):
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def precision(truth, scores):
    return 100 * average_precision_score(truth.ravel(), scores.ravel())


@pytest.mark.parametrize("offset", [-6.0, 0.0, 3.0])
def test_it_is_scikit_learns_within_the_levels(offset):
    """Also where no probability comes near one half."""
    rng = np.random.default_rng(0)
    truth = rng.random((2, 60, 60)) < 0.1
    probabilities = sigmoid(rng.normal(1.5 * truth, 1) + offset)
    ranking = PixelRanking.of(probabilities, truth)
    assert ranking.average_precision == pytest.approx(precision(truth, probabilities), abs=0.1)
    logits = np.log(probabilities.astype(float) / (1 - probabilities.astype(float)))
    levels = np.floor((logits + 16) * LEVELS / 32)
    assert ranking.average_precision == pytest.approx(precision(truth, levels), abs=1e-9)


def test_two_sets_of_pixels_add_up_to_their_union():
    rng = np.random.default_rng(1)
    truth, probabilities = rng.random((2, 8, 9)) < 0.3, rng.random((2, 8, 9)).astype("f4")
    parts = [PixelRanking.of(p, t) for p, t in zip(probabilities, truth)]
    together = PixelRanking.of(probabilities, truth)
    assert (parts[0] + parts[1]).scores == together.scores
    assert together.counts.sum(axis=1).tolist() == [(~truth).sum(), truth.sum()]


def test_the_ends_and_what_has_no_precision():
    """0 and 1 are levels, a constant gives the share of vessel, no vessel and NaN give NaN."""
    truth = np.array([True, False, False, True])
    assert PixelRanking.of(np.array([1.0, 0.0, 0.5, 1.0]), truth).average_precision == 100
    assert PixelRanking.of(np.array([0.0, 1.0, 1.0, 0.0]), truth).average_precision == 50
    assert PixelRanking.of(np.full(4, 0.2), truth).average_precision == 50
    assert np.isnan(PixelRanking.of(np.full(4, 0.2), np.zeros(4, bool)).average_precision)
    spoilt = PixelRanking.of(np.array([np.nan, 0.1, 0.2, 0.3]), truth)
    assert np.isnan((spoilt + PixelRanking.of(np.full(4, 0.2), truth)).average_precision)


def test_a_metric_scores_each_frame_and_the_split(vessels, tmp_path):
    """With the probabilities that mmsegmentation gives for one class: sigmoids."""
    metric = SegmentationMetric(vessels, tmp_path, of_pixels=(PixelRanking,))
    assert "ece" not in metric.definitions()
    rng, truths, shares = np.random.default_rng(2), [], []
    for item in vessels.splits["test"]:
        truth = vessels.channels("test", item["stem"])
        share = sigmoid(rng.normal(truth, 1))
        sample = {
            "img_path": f"{item['stem']}.png",
            "pred_sem_seg": {"data": torch.from_numpy(share > 0.5)},
            "seg_logits": {"data": torch.from_numpy(share)},
        }
        metric.process({}, [sample])
        truths.append(truth)
        shares.append(share)
    found = metric.evaluate(len(truths))
    expected = [precision(*pair) for pair in zip(truths, shares)]
    assert list(metric.scores["pixel_ap"]) == pytest.approx(expected, abs=0.1)
    pooled = precision(np.stack(truths), np.stack(shares))
    assert found["pixel_ap"] == pytest.approx(pooled, abs=0.1)
