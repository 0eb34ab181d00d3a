"""Indices by their formulas, and a probe that keeps patients apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from benchmark.downstream.representation.clusters import LinearProbe, cluster_indices
from benchmark.errors import InputError


@pytest.fixture
def classes():
    """60 points in five dimensions, of two classes that overlap."""
    rng = np.random.default_rng(0)
    vessel = rng.random(60) < 0.3
    return rng.normal(0, 1, (60, 5)) + 0.8 * vessel[:, None], vessel


def test_the_indices_are_those_of_their_papers(classes):
    """Rousseeuw 1987, Caliński and Harabasz 1974, Davies and Bouldin 1979, written out."""
    points, vessel = classes
    found, each = cluster_indices(points, vessel)
    apart = cdist(points, points)
    silhouettes = []
    for place, label in enumerate(vessel):
        own = apart[place, vessel == label].sum() / ((vessel == label).sum() - 1)
        other = apart[place, vessel != label].mean()
        silhouettes.append((other - own) / max(other, own))
    assert np.allclose(each, silhouettes)
    assert found["silhouette"] == pytest.approx(np.mean(silhouettes))
    parts = [points[vessel], points[~vessel]]
    centres = [part.mean(axis=0) for part in parts]
    middle = points.mean(axis=0)
    between = sum(len(p) * ((c - middle) ** 2).sum() for p, c in zip(parts, centres))
    within = sum(((p - c) ** 2).sum() for p, c in zip(parts, centres))
    assert found["calinski_harabasz"] == pytest.approx(between / within * (len(points) - 2))
    spread = [np.linalg.norm(p - c, axis=1).mean() for p, c in zip(parts, centres)]
    distance = np.linalg.norm(centres[0] - centres[1])
    assert found["davies_bouldin"] == pytest.approx(sum(spread) / distance)


def test_two_indices_bound_the_number_of_points(classes):
    """For two clusters CH ≤ (n − 2) / DB², from which docs/representations.md draws conclusions."""
    points, vessel = classes
    found, _ = cluster_indices(points, vessel)
    assert found["calinski_harabasz"] <= (len(points) - 2) / found["davies_bouldin"] ** 2


def test_no_patient_is_in_training_and_test_of_a_fold():
    """Features that tell patients apart, and nothing else, are worth no more than chance."""
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(10), 40)
    vessel = rng.random(400) < np.repeat(np.tile([0.1, 0.9], 5), 40)
    features = np.eye(10)[patients] + 0.01 * rng.normal(size=(400, 10))
    probe = LinearProbe(folds=5)
    found = probe.average_precision(features, vessel, probe.split(vessel, list(map(str, patients))))
    model = LogisticRegression().fit(features, vessel)
    known = average_precision_score(vessel, model.decision_function(features))
    assert found < 0.65 < 0.85 < known


def test_average_precision_is_that_of_the_ranking(classes):
    """Two groups, two folds: each is scored by a regression on the other, standardised."""
    points, vessel = classes
    groups = np.arange(60) % 2
    scores = np.empty(60)
    for test in (0, 1):
        train = groups != test
        mean, std = points[train].mean(axis=0), points[train].std(axis=0)
        model = LogisticRegression(C=0.5).fit((points[train] - mean) / std, vessel[train])
        scores[~train] = model.decision_function((points[~train] - mean) / std)
    hits = vessel[np.argsort(-scores)]
    precision = np.cumsum(hits) / np.arange(1, 61)
    expected = precision[hits].mean()
    probe = LinearProbe(folds=5, c=0.5)
    found = probe.average_precision(points, vessel, probe.split(vessel, groups.astype(str)))
    assert found == pytest.approx(expected)


def test_folds_that_cannot_be_are_refused(classes):
    _, vessel = classes
    with pytest.raises(InputError, match="patches of two patients"):
        LinearProbe().split(vessel, ["one"] * 60)
    groups = np.where(vessel, "a", "b")
    with pytest.raises(InputError, match="vessel and background patches in every fold"):
        LinearProbe().split(vessel, groups)
