"""How far bf16 moves a gradient, relative to what rounding the weights alone does.

How sensitive a gradient is to rounding depends on the method: batch normalisation over a few
samples amplifies it a hundredfold (see "What bf16 changes" in `docs/training.md`). So a bound on
the difference itself is too wide for one method or too narrow for another. The gradient in fp32 of
a model whose weights are rounded has the sensitivity of the method, but no further rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

BF16_EXCESS = 4.0
"""Limit of `excess` for a method that rounds only what autocast does; 0.8 to 2.2 were measured."""


def round_weights(model: nn.Module) -> None:
    """Round matrices and kernels in place to bf16, as autocast does before a product."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(parameter.bfloat16())


def relative_distance(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """‖found − expected‖ / ‖expected‖ of all tensors together, in double precision."""
    differences = (found[name].double() - value.double() for name, value in expected.items())
    return _length(differences) / _length(value.double() for value in expected.values())


def excess(
    exact: Mapping[str, Tensor],
    in_bf16: Mapping[str, Tensor],
    weights_rounded: Mapping[str, Tensor],
) -> float:
    """Distance of the bf16 gradient from the exact one, relative to that by rounded weights.

    Infinite where a gradient is not finite.
    """
    ratio = relative_distance(exact, in_bf16) / relative_distance(exact, weights_rounded)
    return ratio if math.isfinite(ratio) else math.inf


def _length(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(sum(float(tensor.square().sum()) for tensor in tensors))
