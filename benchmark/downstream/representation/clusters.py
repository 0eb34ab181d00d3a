"""How well two classes of points separate: indices of clusters, and a linear probe."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_samples,
)
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark.errors import InputError
from benchmark.registry import MODELS
from benchmark.type_hints import Count, Positive, Range

HIGHER_IS_BETTER = {
    "silhouette": True,
    "calinski_harabasz": True,
    "davies_bouldin": False,
}
"""Index → whether higher is better."""

Fold = tuple[np.ndarray, np.ndarray]
"""Indices of the patches to train on and to test on."""


def cluster_indices(points: np.ndarray, vessel: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    """The indices of `HIGHER_IS_BETTER` for the classes of patches as clusters, by scikit-learn.

    Euclidean distances throughout. The Calinski-Harabasz index grows in proportion to the number
    of points; the others do not depend on it.

    Args:
        points: n×D.
        vessel: bool, n, of both classes.

    Returns:
        The indices, and the silhouette of every point, in [-1, 1], whose mean is the silhouette.
    """
    silhouettes = silhouette_samples(points, vessel)
    values = (
        silhouettes.mean(dtype=np.float64),
        calinski_harabasz_score(points, vessel),
        davies_bouldin_score(points, vessel),
    )
    return dict(zip(HIGHER_IS_BETTER, map(float, values))), silhouettes


@MODELS.register_module()
class LinearProbe:
    """Logistic regression of vessel on features, cross-validated over patients.

    The features are standardised with the statistics of the patches it is trained on.

    Args:
        folds: number of folds, at most one per group.
        c: inverse strength of the L2 penalty, as scikit-learn's ``C``.
        iterations: maximum number of iterations of L-BFGS, which bounds the time.
    """

    def __init__(
        self,
        folds: Annotated[int, Range(least=2)] = 5,
        c: Positive = 1.0,
        iterations: Count = 1000,
    ) -> None:
        self.folds = folds
        self.c = c
        self.iterations = iterations

    def split(self, vessel: np.ndarray, groups: Sequence[str]) -> list[Fold]:
        """The folds: training and test patches of each, which share no group.

        Args:
            vessel: bool, n.
            groups: patient (or frame) of each patch.

        Raises:
            InputError: there is only one group, or some fold is trained on patches of one class.
        """
        folds = min(self.folds, len(set(groups)))
        if folds < 2:
            raise InputError("the probe needs patches of two patients; use a split with more")
        found = list(GroupKFold(folds).split(vessel, vessel, groups))
        if any(vessel[train].all() or not vessel[train].any() for train, _ in found):
            raise InputError(
                "the probe needs vessel and background patches in every fold; use fewer "
                "(probe.folds), or a split of more patients"
            )
        return found

    def average_precision(
        self, features: np.ndarray, vessel: np.ndarray, folds: Sequence[Fold]
    ) -> float:
        """Average precision of vessel patches, in [0, 1]; chance is their share.

        Every patch is scored by the probe of the fold that has no patch of its group in its
        training set; the scores of all folds are ranked together.

        Args:
            features: n×D.
            vessel: bool, n.
            folds: from `split`.
        """
        scores = np.empty(len(features))
        for train, test in folds:
            regression = LogisticRegression(C=self.c, max_iter=self.iterations)
            model = make_pipeline(StandardScaler(), regression)
            with warnings.catch_warnings():
                # Stopping there is part of the settings; the ranking hardly changes beyond.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(features[train], vessel[train])
            scores[test] = model.decision_function(features[test])
        return float(average_precision_score(vessel, scores))
