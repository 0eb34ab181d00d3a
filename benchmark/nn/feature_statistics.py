"""Spread and effective rank of a set of features, both low after representation collapse."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLES = 256
"""Samples the statistics are computed on; more would cost more and change little."""


def pool_features(output: Any) -> Tensor | None:
    """Global average pooling of an encoder's output to B×D; None if it holds no features.

    Tokens B×N×D are averaged over tokens, maps B×C×H×W over positions; of several levels the last
    one is used.
    """
    while isinstance(output, list | tuple) and output:
        output = output[-1]
    if not isinstance(output, Tensor) or not 2 <= output.ndim <= 4:
        return None
    features = output.detach()
    dims = {2: (), 3: (1,), 4: (2, 3)}[features.ndim]
    return features.mean(dims) if dims else features


def feature_std(features: Tensor) -> Tensor:
    """Standard deviation of the ℓ2-normalised features (SimSiam, Chen & He, CVPR 2021, §4.1).

    The standard deviation of x/‖x‖ over at least two samples, B×D, averaged over the channels,
    times √D: 0 if all have the same features, about 1 if they are spread evenly over the sphere.
    """
    unit = F.normalize(features.float(), dim=1)
    return unit.std(dim=0).mean() * features.shape[1] ** 0.5


def effective_rank(features: Tensor) -> Tensor:
    """Effective rank of the features, in [1, min(B, D)] (Roy & Vetterli, EUSIPCO 2007).

    exp(−Σ p log p) of the singular values σ of the B×D matrix, p = σ/Σσ. The mean is not
    subtracted: identical features then have rank 1 instead of the high rank of rounding noise.
    """
    # LAPACK raises on non-finite values; zeros give 0/0, so that the result is NaN.
    features = torch.where(features.isfinite().all(), features, 0)
    singular_values = torch.linalg.svdvals(features.float())
    distribution = singular_values / singular_values.sum()
    return torch.special.entr(distribution).sum().exp()


@torch.no_grad()
def feature_statistics(features: Tensor) -> dict[str, Tensor]:
    """Both statistics of the first `SAMPLES` of B×D features, as scalars; one sample has std 0.

    Computing singular values synchronises a GPU with the host: call this when the log is written,
    not at every step.
    """
    features = features[:SAMPLES]
    with torch.autocast(features.device.type, enabled=False):
        single = len(features) < 2
        std = features.new_zeros((), dtype=torch.float32) if single else feature_std(features)
        return {"feature_std": std, "effective_rank": effective_rank(features)}
