"""Evaluation of a model during its training, which leaves it unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards modes and torch's generators are as before.

    Compiled blocks run as they are written: other shapes would have them compiled again, which
    takes minutes and may change what the next step computes.
    """
    training = {module: module.training for module in model.modules()}
    devices = [p.device for p in model.parameters() if p.device.type == "cuda"][:1]
    try:
        with (
            torch.no_grad(),
            torch.random.fork_rng(devices),
            torch.compiler.set_stance("force_eager"),
        ):
            model.eval()
            yield
    finally:
        for module, was in training.items():
            module.training = was
