"""A linear probe: logistic regression on frozen features, and the average precision it reaches."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def standardise_as(reference: Tensor, features: Tensor) -> Tensor:
    """Features n×D, float64, shifted and scaled to mean 0 and variance 1 of `reference`.

    A channel that is constant in `reference` is only shifted.
    """
    reference, features = reference.double(), features.double()
    std, mean = torch.std_mean(reference, dim=0, correction=0)
    return (features - mean) / torch.where(std > 0, std, 1)


@torch.enable_grad()
def fit_logistic(
    features: Tensor, labels: Tensor, c: float = 1.0, iterations: int = 100
) -> tuple[Tensor, Tensor]:
    """Weights D and bias of a logistic regression, by L-BFGS in float64 from zero.

    Minimises c·Σ log-loss + ‖w‖²/2, as scikit-learn's ``LogisticRegression(C=c)``; the bias is not
    penalised. Deterministic on one machine.

    Args:
        features: n×D, float64.
        labels: bool, n, of both classes.
        c: inverse strength of the L2 penalty.
        iterations: maximum number of iterations, which bounds the time.
    """
    target = labels.double()
    solution = features.new_zeros(features.shape[1] + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [solution],
        max_iter=iterations,
        max_eval=2 * iterations,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        weights, bias = solution[:-1], solution[-1]
        data = F.binary_cross_entropy_with_logits(features @ weights + bias, target)
        value = data + weights.square().sum() / (2 * c * len(target))
        value.backward()
        return value

    optimizer.step(loss)
    solution = solution.detach()
    return solution[:-1], solution[-1]


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Σ (Rₖ − Rₖ₋₁)·Pₖ over the distinct scores, from the highest; in [0, 1].

    Chance is the share of positives, which is also the value where all scores are equal. Written
    out, since importing scikit-learn in the middle of a pre-training takes seconds.

    Args:
        labels: bool, n, at least one of them true.
        scores: n.
    """
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(labels[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    precision, recall = found[last] / (last + 1), found[last] / found[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
