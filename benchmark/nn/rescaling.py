"""Halving and doubling of maps as small convolutional segmentors do it, in one pass on a CPU.

Such a network spends most of its time on maps of full size that it writes to memory and reads
again: pooled and rectified on the way down; doubled, rectified and added up on the way up. On a CPU
each of these steps is one compiled loop here, and its gradient another (`benchmark.nn.kernels`);
elsewhere, and where shapes do not fit, they are the operations of torch that the loops equal.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def halved(maps: Tensor) -> Tensor:
    """``relu(max_pool2d(maps, 2))``, B×C×H×W to B×C×⌊H/2⌋×⌊W/2⌋; differentiable."""
    if not _for_kernels(maps) or maps.shape[2] % 2 or maps.shape[3] % 2:
        return F.relu(F.max_pool2d(maps, 2), inplace=True)
    return _Halved.apply(maps)


def doubled(maps: Tensor, skip: Tensor) -> Tensor:
    """``relu(interpolate(maps, scale_factor=2, mode="bilinear")) + skip``.

    Args:
        maps: B×C×H×W.
        skip: B×C×2H×2W.

    Returns:
        B×C×2H×2W; differentiable in both.
    """
    batch, channels, height, width = maps.shape
    fits = skip.shape == (batch, channels, 2 * height, 2 * width)
    if not fits or not _for_kernels(maps, skip):
        return F.relu(_interpolate(maps), inplace=True) + skip
    return _Doubled.apply(maps, skip)


def doubled_logits(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``conv2d(relu(interpolate(maps, scale_factor=2, mode="bilinear")), weight, bias)``.

    Args:
        maps: B×C×H×W.
        weight: K×C×1×1, that of a convolution to K logits per pixel.
        bias: K.

    Returns:
        B×K×2H×2W logits; differentiable, in the weights where they ask for it.
    """
    learning = torch.is_grad_enabled() and (weight.requires_grad or bias.requires_grad)
    fits = weight.shape == (1, maps.shape[1], 1, 1) and bias.shape == (1,)
    if learning or not fits or not _for_kernels(maps, weight, bias):
        return F.conv2d(F.relu(_interpolate(maps), inplace=True), weight, bias)
    return _DoubledLogits.apply(maps, weight, bias)


def _interpolate(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)


def _for_kernels(*tensors: Tensor) -> bool:
    dtypes = {tensor.dtype for tensor in tensors}
    on_cpu = all(tensor.device.type == "cpu" for tensor in tensors)
    return on_cpu and dtypes in ({torch.float32}, {torch.float64})


def _innermost(maps: Tensor) -> Tensor:
    """B×C×H×W to contiguous B×H×W×C, a view where channels are innermost already."""
    return maps.permute(0, 2, 3, 1).contiguous()


# The kernels are imported where they are used: numba takes a second to load.


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        from benchmark.nn import kernels

        maps = _innermost(maps)
        batch, height, width, channels = maps.shape
        result = maps.new_empty(batch, height // 2, width // 2, channels)
        kernels.run(kernels.halve, (maps, result))
        ctx.save_for_backward(maps, result)
        return result.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        from benchmark.nn import kernels

        maps, halves = ctx.saved_tensors
        result = torch.empty_like(maps)
        kernels.run(kernels.halve_backward, (maps, halves, _innermost(gradient), result))
        return result.permute(0, 3, 1, 2)


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, skip: Tensor) -> Tensor:
        from benchmark.nn import kernels

        maps, skip = _innermost(maps), _innermost(skip)
        ctx.save_for_backward(maps)
        result = torch.empty_like(skip)
        kernels.run(kernels.double, (maps, skip, result))
        return result.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        from benchmark.nn import kernels

        (maps,) = ctx.saved_tensors
        result = torch.zeros_like(maps)
        kernels.run(kernels.double_backward, (maps, _innermost(gradient), result))
        return result.permute(0, 3, 1, 2), gradient


class _DoubledLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        from benchmark.nn import kernels

        maps = _innermost(maps)
        ctx.save_for_backward(maps, weight)
        batch, height, width, _ = maps.shape
        result = maps.new_empty(batch, 2 * height, 2 * width)
        kernels.run(kernels.logits, (maps, result), shared=(weight.flatten(), bias))
        return result[:, None]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        from benchmark.nn import kernels

        maps, weight = ctx.saved_tensors
        result = torch.zeros_like(maps)
        gradient = gradient[:, 0].contiguous()
        kernels.run(kernels.logits_backward, (maps, gradient, result), shared=(weight.flatten(),))
        return result.permute(0, 3, 1, 2), None, None
