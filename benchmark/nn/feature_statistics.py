"""How much of its space a set of features fills; next to nothing where training has collapsed."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLES = 256
"""Samples that are looked at; more would change little and cost more."""


def pooled(output: Any) -> Tensor | None:
    """One row per sample of what an encoder returned, B×D; None where it returned no features.

    Tokens B×N×D are averaged over the tokens, maps B×C×H×W over the places; of several levels the
    last one counts.
    """
    while isinstance(output, list | tuple) and output:
        output = output[-1]
    if not isinstance(output, Tensor) or not 2 <= output.ndim <= 4:
        return None
    features = output.detach()
    dims = {2: (), 3: (1,), 4: (2, 3)}[features.ndim]
    return features.mean(dims) if dims else features


def feature_std(features: Tensor) -> Tensor:
    """Deviation of normalised features over the samples (SimSiam, Chen & He, CVPR 2021, §4.1).

    Mean over the channels of the standard deviation of x/‖x‖, times √D: 0 where all samples have
    the same features, about 1 where these are spread evenly over the sphere.

    Args:
        features: B×D, B at least 2.
    """
    unit = F.normalize(features.float(), dim=1)
    return unit.std(dim=0).mean() * features.shape[1] ** 0.5


def effective_rank(features: Tensor) -> Tensor:
    """Number of directions the features use, in [1, min(B, D)] (Roy & Vetterli, EUSIPCO 2007).

    exp(−Σ p log p) of the singular values σ of the B×D matrix, p = σ/Σσ. The mean is not taken
    off: features that are all equal have rank 1, and do not become noise of a high rank.
    """
    # Of values that are not finite LAPACK makes an error; 0/0 is the answer that fits.
    features = torch.where(features.isfinite().all(), features, 0)
    singular = torch.linalg.svdvals(features.float())
    share = singular / singular.sum()
    return torch.special.entr(share).sum().exp()


@torch.no_grad()
def feature_statistics(features: Tensor) -> dict[str, Tensor]:
    """Both measures, as scalars, of the first `SAMPLES` samples; one sample deviates from nothing.

    Singular values make a GPU wait for the host: to be called where the log is written, not at
    every step.

    Args:
        features: B×D, one row for each sample.
    """
    features = features[:SAMPLES]
    with torch.autocast(features.device.type, enabled=False):
        alone = len(features) < 2
        std = features.new_zeros((), dtype=torch.float32) if alone else feature_std(features)
        return {"feature_std": std, "effective_rank": effective_rank(features)}
