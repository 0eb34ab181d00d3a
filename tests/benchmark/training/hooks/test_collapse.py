"""The watch over collapse: what it logs and when, and when it raises its voice."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from benchmark.nn.feature_statistics import feature_statistics
from benchmark.training.hooks import CollapseHook
from benchmark.training.hooks.collapse import LEGEND


def features(spread: float) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 1 + spread * torch.randn(20, 8, generator=generator)


def run(hook: CollapseHook, step: int, *observed: Tensor) -> dict[str, Tensor]:
    """What a step adds to the terms."""
    model = SimpleNamespace(observed=list(observed))
    terms: dict[str, Tensor] = {}
    run = SimpleNamespace(title="Method", say=print)
    runner = SimpleNamespace(run=run, model=model, iter=step - 1, max_iters=12)
    hook.after_train_iter(runner, 0, None, terms)
    return terms


def test_statistics_are_logged_with_the_lines_of_the_log():
    """Every fifth step and the last; means over the parts of the batch."""
    hook = CollapseHook(interval=5)
    wide, narrow = features(1.0), features(0.1)
    assert [step for step in range(1, 13) if run(hook, step, wide)] == [5, 10, 12]
    assert run(hook, 5) == {}
    terms = run(hook, 10, wide, narrow)
    parts = [feature_statistics(part) for part in (wide, narrow)]
    for name in ("feature_std", "effective_rank"):
        expected = (parts[0][name] + parts[1][name]).item() / 2
        assert terms[name].item() == pytest.approx(expected)
    assert not any("loss" in name for name in terms)


def test_models_that_show_nothing_are_left_alone():
    runner = SimpleNamespace(model=torch.nn.Linear(2, 2), iter=4, max_iters=12)
    CollapseHook(interval=5).after_train_iter(runner, 0, None, {})


def test_an_interval_below_the_threshold_is_told_once(capsys):
    """One line at the second low value on end, another only after a recovery."""
    hook = CollapseHook(interval=1, threshold=0.01)
    low, fine = features(1e-4), features(1.0)
    for step, shown in enumerate((low, fine, low, low, low, low), start=1):
        run(hook, step, shown)
    legend, *told = capsys.readouterr().out.splitlines()
    assert legend == f"Method: {LEGEND}"
    assert len(told) == 1
    assert told[0].startswith("Method: warning: collapse? step 4: feature_std ")
    assert "is below 0.01, effective_rank 1.0" in told[0]
    for step, shown in enumerate((fine, low, low), start=7):
        run(hook, step, shown)
    assert "step 9:" in capsys.readouterr().out
