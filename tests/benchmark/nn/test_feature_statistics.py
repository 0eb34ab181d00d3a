"""Statistics of features against numpy, and what they say of a planted collapse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.nn.feature_statistics import SAMPLES, effective_rank, feature_statistics, feature_std


def numpy_rank(x: np.ndarray) -> float:
    """exp of the entropy of σ/Σσ (Roy & Vetterli 2007)."""
    sigma = np.linalg.svd(x, compute_uv=False)
    share = sigma / sigma.sum()
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def numpy_std(x: np.ndarray) -> float:
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    return float(unit.std(axis=0, ddof=1).mean() * np.sqrt(x.shape[1]))


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
def test_statistics_match_the_formulas(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=shape) + 0.5
    features = torch.from_numpy(x)
    assert effective_rank(features).item() == pytest.approx(numpy_rank(x), rel=1e-5)
    assert feature_std(features).item() == pytest.approx(numpy_std(x), rel=1e-5)


def test_extreme_values() -> None:
    directions = torch.eye(8)[:3].repeat(4, 1)
    assert effective_rank(directions).item() == pytest.approx(3, rel=1e-5)
    spread = torch.randn(2000, 64, generator=torch.Generator().manual_seed(0))
    assert feature_std(spread).item() == pytest.approx(1, rel=0.01)
    assert effective_rank(spread).item() > 60


def test_collapse_is_detected() -> None:
    generator = torch.Generator().manual_seed(0)
    point = torch.randn(1, 32, generator=generator).expand(50, -1)
    exact = feature_statistics(point)
    assert exact["feature_std"].item() < 1e-6
    assert exact["effective_rank"].item() == pytest.approx(1, abs=1e-3)
    noise = torch.randn(50, 32, generator=generator)
    near = feature_statistics(point + 1e-5 * noise)
    assert near["feature_std"].item() < 1e-4
    assert near["effective_rank"].item() < 1.01
    # Collapse of dimensions: spread out, but along one line.
    line = feature_statistics(point * noise[:, :1])
    assert line["effective_rank"].item() == pytest.approx(1, abs=1e-3)
    assert line["feature_std"].item() > 0.5


def test_statistics_use_the_first_samples_and_accept_a_single_one() -> None:
    features = torch.randn(SAMPLES + 100, 8, generator=torch.Generator().manual_seed(0))
    features.requires_grad_()
    found = feature_statistics(features)
    assert found["feature_std"].item() == feature_std(features[:SAMPLES]).item()
    assert not found["effective_rank"].requires_grad
    single = feature_statistics(features[:1])
    assert single["feature_std"].item() == 0
    assert single["effective_rank"].item() == pytest.approx(1, abs=1e-5)
    half = feature_statistics(features.bfloat16())
    assert half["feature_std"].dtype == torch.float32
