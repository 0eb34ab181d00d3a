"""Counting the floating-point operations of a forward pass with torch's own counter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

_ATEN = torch.ops.aten
# Operators of linear layers and convolutions; those of attention are `bmm`.
_LAYERS = (_ATEN.mm, _ATEN.addmm, _ATEN.convolution)
_NORM = _ATEN.native_layer_norm
# Mean, variance, scale and shift, counted by the papers like a multiplication with its addition.
_PER_NORMED_VALUE = 2 * 4


class ForwardFlops(NamedTuple):
    """Operations of a forward pass; a multiplication with its addition counts as two."""

    total: int  # convolutions, linear layers, and all other matrix products
    # By the papers' rules: convolutions and linear layers, and 8 for each value of a LayerNorm.
    layers: int


def count_flops(work: Callable[[], object]) -> ForwardFlops:
    """Count what `work` computes on any device, fake tensors included.

    Attention is decomposed into its two matrix products, because the counter does not know all
    fused kernels.
    """
    norms = {_NORM: lambda shape, *_, **__: _PER_NORMED_VALUE * prod(shape)}
    counter = FlopCounterMode(display=False, custom_mapping=norms)
    with sdpa_kernel(SDPBackend.MATH), counter:
        work()
    counts = counter.get_flop_counts()["Global"]
    layers = sum(counts.get(kind, 0) for kind in (*_LAYERS, _NORM))
    return ForwardFlops(counter.get_total_flops() - counts.get(_NORM, 0), layers)


def count_forward(
    forward: Callable[[dict[str, Tensor]], object], inputs: Mapping[str, Any]
) -> ForwardFlops:
    """Count a forward pass, if possible on fake tensors, which have shapes and no values.

    Args:
        forward: takes the inputs; its modules may be of real tensors.
        inputs: tensors, or whatever else `forward` takes.
    """
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fakes = {
            name: mode.from_tensor(value)
            if isinstance(value, Tensor) and value.is_floating_point()
            else value
            for name, value in inputs.items()
        }
        try:
            return count_flops(lambda: forward(fakes))
        except RuntimeError:
            pass  # it looks at values, as masks of several blocks do
    return count_flops(lambda: forward(dict(inputs)))
