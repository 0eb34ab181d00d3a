"""The last layers of a segmentor at full size, in pieces that stay in the cache of a CPU.

A small convolutional network spends much of its time on maps of full size that it writes to memory
and reads again: upsampled by two, rectified, and weighed into one logit per pixel. Here a few
samples at a time go through all of it, in both directions, and only the small maps are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# Bytes of a piece at full size: a second-level cache. Smaller ones cost more calls.
_PIECE = 2**21


def doubled_logits(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``conv2d(relu(interpolate(maps, scale_factor=2, mode="bilinear")), weight, bias)``.

    Args:
        maps: B×C×H×W.
        weight: 1×C×1×1, that of a convolution to one logit per pixel.
        bias: 1.

    Returns:
        B×1×2H×2W logits; differentiable, in the weights where they ask for it.
    """
    learning = torch.is_grad_enabled() and (weight.requires_grad or bias.requires_grad)
    if learning or maps.device.type != "cpu" or maps.dtype != weight.dtype or len(weight) > 1:
        maps = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
        return F.conv2d(F.relu(maps, inplace=True), weight, bias)
    return _DoubledLogits.apply(maps, weight, bias)


class _DoubledLogits(torch.autograd.Function):
    """Doubling makes four maps of the old size, one for each place (row, column) in 2×2 pixels.

    They are interleaved only after the channels have become one logit.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        maps = maps.permute(0, 2, 3, 1)
        ctx.save_for_backward(maps, weight)
        batch, height, width, channels = maps.shape
        logits = maps.new_empty(batch, height, 2, width, 2)
        for piece, rows, (quarters,) in _pieces(maps, 1):
            _double(maps[piece], rows, quarters)
            values = torch.addmv(bias, quarters.view(-1, channels), weight.view(-1))
            logits[piece] = values.view(quarters.shape[:-1]).permute(2, 3, 1, 4, 0)
        return logits.view(batch, 1, 2 * height, 2 * width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        maps, weight = ctx.saved_tensors
        batch, height, width, channels = maps.shape
        gradient = gradient.reshape(batch, height, 2, width, 2)
        result = torch.empty_like(maps, memory_format=torch.contiguous_format)
        for piece, rows, (quarters, of_quarters) in _pieces(maps, 2):
            _double(maps[piece], rows, quarters)
            of_logits = gradient[piece].permute(4, 2, 0, 1, 3).reshape(-1, 1)
            torch.mm(of_logits, weight.view(1, channels), out=of_quarters.view(-1, channels))
            torch.ops.aten.threshold_backward.grad_input(
                of_quarters, quarters, 0, grad_input=of_quarters
            )
            _gather(*of_quarters, rows, dim=3)
            _gather(*rows, result[piece], dim=1)
        return result.permute(0, 3, 1, 2), None, None


def _pieces(maps: Tensor, number: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Which samples of B×H×W×C maps, and memory for them at twice the rows, and at full size.

    Args:
        number: maps of full size, each 2×2×n×H×W×C.
    """
    count = max(1, _PIECE // (4 * maps[0].numel() * maps.element_size()))
    rows = maps.new_empty(0)
    for start in range(0, len(maps), count):
        piece = maps[start : start + count]
        if rows.shape[1:] != piece.shape:
            rows = maps.new_empty(2, *piece.shape)
            quarters = maps.new_empty(number, 2, 2, *piece.shape)
        yield slice(start, start + count), rows, quarters


def _double(maps: Tensor, rows: Tensor, quarters: Tensor) -> None:
    """n×H×W×C maps to their rectified quarters: column in 2×2 × row in 2×2 × n×H×W×C."""
    _blend(maps, *rows, dim=1)
    _blend(rows, *quarters, dim=3)
    quarters.relu_()


def _blend(maps: Tensor, first: Tensor, second: Tensor, dim: int) -> None:
    """Linear interpolation at -1/4 and +1/4 pixel, written to `first` and `second`.

    A pixel beyond the edge equals the one at the edge, as without aligned corners.
    """
    last = maps.shape[dim] - 1
    before, after = maps.narrow(dim, 0, last), maps.narrow(dim, 1, last)
    torch.lerp(after, before, 0.25, out=first.narrow(dim, 1, last))
    torch.lerp(before, after, 0.25, out=second.narrow(dim, 0, last))
    first.select(dim, 0).copy_(maps.select(dim, 0))
    second.select(dim, last).copy_(maps.select(dim, last))


def _gather(first: Tensor, second: Tensor, maps: Tensor, dim: int) -> None:
    """The transpose of `_blend`: gradients of `first` and `second` to that of `maps`."""
    last = maps.shape[dim] - 1
    torch.add(first, second, out=maps)
    maps.mul_(0.75)
    maps.narrow(dim, 0, last).add_(first.narrow(dim, 1, last), alpha=0.25)
    maps.narrow(dim, 1, last).add_(second.narrow(dim, 0, last), alpha=0.25)
    maps.select(dim, 0).add_(first.select(dim, 0), alpha=0.25)
    maps.select(dim, last).add_(second.select(dim, last), alpha=0.25)
