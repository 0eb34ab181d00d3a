"""Gradient clipping other than that of the total norm (`benchmark.training.accumulation`)."""

from __future__ import annotations

from typing import Any

import torch

from benchmark.errors import InputError
from benchmark.registry import OPTIMIZERS

# As in the code of DINO and iBOT: keeps a gradient of zeros from dividing by zero.
_FLOOR = 1e-6


@OPTIMIZERS.register_module()
class ClipEachTensor:
    """Scales the gradient of each parameter tensor down to a norm of its own (DINO, iBOT).

    g ← g · min(1, max_norm / (‖g‖₂ + 10⁻⁶)), for every tensor by itself, with nothing read back to
    the host. Called as a hook before the steps of an optimiser.

    Args:
        max_norm: largest norm of the gradient of one tensor.

    Raises:
        InputError: `max_norm` is not positive.
    """

    def __init__(self, max_norm: float) -> None:
        if max_norm <= 0:
            raise InputError(f"clip_grad: max_norm={max_norm} must be positive; None for no limit")
        self.max_norm = max_norm

    @torch.no_grad()
    def __call__(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        gradients = [
            parameter.grad
            for group in optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not gradients:
            return
        norms = torch.stack(torch._foreach_norm(gradients))
        factors = (self.max_norm / (norms + _FLOOR)).clamp(max=1.0)
        torch._foreach_mul_(gradients, list(factors.unbind()))
