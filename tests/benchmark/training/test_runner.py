"""What the runner hands to torch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmark.training import runner


@pytest.mark.parametrize(("parts", "static"), [(1, True), (2, False)])
def test_the_graph_is_static_without_accumulation(parts, static, monkeypatch):
    """Every step uses the same parameters, which saves torch a search for unused ones."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(runner, "MMDistributedDataParallel", lambda model, **options: options)
    wrapper = SimpleNamespace(parts=parts)
    of_run = SimpleNamespace(distributed=True, optim_wrapper=wrapper)
    options = runner.Runner.wrap_model(of_run, None, nn.Linear(1, 1))
    assert options["static_graph"] is static
    assert not options["broadcast_buffers"]
