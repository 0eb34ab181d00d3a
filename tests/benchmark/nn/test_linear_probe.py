"""The probe against scikit-learn, and its parts against examples worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler

from benchmark.nn.linear_probe import average_precision, fit_logistic, standardise_as


def patches(count: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features of which two directions say, with noise, what is vessel."""
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).normal(size=(width, width))
    features = 3 + generator.normal(size=(count, width)) @ mixing
    logits = features[:, 0] - features[:, 1] - 6 + 3 * generator.normal(size=count)
    return features.astype(np.float32), logits > 0


@pytest.mark.parametrize("c", [1.0, 0.01])
def test_it_equals_scikit_learn(c):
    (seen, labels), (unseen, truth) = patches(600, 24, seed=1), patches(400, 24, seed=2)
    scaler = StandardScaler().fit(seen.astype(np.float64))
    regression = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-6)
    regression.fit(scaler.transform(seen), labels)
    theirs = regression.decision_function(scaler.transform(unseen))

    fitted, scored = torch.from_numpy(seen), torch.from_numpy(unseen)
    weights, bias = fit_logistic(
        standardise_as(fitted, fitted), torch.from_numpy(labels), c, iterations=500
    )
    ours = (standardise_as(fitted, scored) @ weights + bias).numpy()
    np.testing.assert_allclose(weights.numpy(), regression.coef_[0], atol=1e-3)
    np.testing.assert_allclose(ours, theirs, atol=5e-3)
    found = average_precision(truth, ours)
    assert found == pytest.approx(average_precision_score(truth, theirs), abs=1e-4)
    assert found > truth.mean() + 0.1


def test_equal_features_give_equal_bits():
    features, labels = patches(200, 8, seed=3)
    one, two = (
        fit_logistic(torch.from_numpy(features).double(), torch.from_numpy(labels))
        for _ in range(2)
    )
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not one[0].requires_grad


def test_average_precision_by_hand():
    """Ranked + − + −: precision 1 at recall ½, ⅔ at recall 1."""
    labels = np.array([True, False, True, False])
    assert average_precision(labels, np.array([4.0, 3.0, 2.0, 1.0])) == pytest.approx(5 / 6)
    # With equal scores, only the last of them is a threshold: chance.
    assert average_precision(labels, np.zeros(4)) == 0.5


def test_average_precision_with_ties_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 12, size=500).astype(float)
    labels = generator.random(500) < 0.2
    expected = average_precision_score(labels, scores)
    assert average_precision(labels, scores) == pytest.approx(expected, abs=1e-12)


def test_constant_features_are_no_division_by_zero():
    """Those of a collapsed encoder rank nothing: chance."""
    features = torch.ones(10, 3)
    labels = torch.arange(10) < 3
    standard = standardise_as(features, features)
    assert standard.abs().max() == 0
    weights, bias = fit_logistic(standard, labels)
    scores = standard @ weights + bias
    assert average_precision(labels.numpy(), scores.numpy()) == pytest.approx(0.3)
