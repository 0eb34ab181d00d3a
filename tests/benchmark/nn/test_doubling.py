"""The fused layers against the same ones of torch, one after the other."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from benchmark.nn import doubling
from benchmark.nn.doubling import doubled_logits


def literally(maps: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    large = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    return F.conv2d(F.relu(large), weight, bias)


@pytest.mark.parametrize("size", [(3, 5, 4, 6), (1, 8, 7, 1), (2, 1, 1, 1), (5, 2, 2, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("piece", [1, 2**20])
def test_logits_and_gradient(
    size: tuple[int, ...], layout: torch.memory_format, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edges, single rows and columns, and one sample at a time as well as all at once."""
    monkeypatch.setattr(doubling, "_PIECE", piece)
    draw = torch.Generator().manual_seed(sum(size))
    maps = torch.randn(size, generator=draw, dtype=torch.float64).to(memory_format=layout)
    weight = torch.randn(1, size[1], 1, 1, generator=draw, dtype=torch.float64)
    bias = torch.randn(1, generator=draw, dtype=torch.float64)
    maps.requires_grad_()
    logits, expected = doubled_logits(maps, weight, bias), literally(maps, weight, bias)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-13)
    assert type(logits.grad_fn) is not type(expected.grad_fn)
    upstream = torch.randn(expected.shape, generator=draw, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(logits, maps, upstream)
    torch.testing.assert_close(
        gradient, torch.autograd.grad(expected, maps, upstream)[0], rtol=0, atol=1e-13
    )


def test_a_last_piece_is_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven samples in pieces of three, three and one."""
    maps = torch.randn(7, 2, 4, 4, requires_grad=True)
    monkeypatch.setattr(doubling, "_PIECE", 3 * 4 * maps[0].numel() * 4)
    weight, bias = torch.randn(1, 2, 1, 1), torch.randn(1)
    logits, expected = doubled_logits(maps, weight, bias), literally(maps, weight, bias)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        torch.autograd.grad(logits.square().sum(), maps)[0],
        torch.autograd.grad(expected.square().sum(), maps)[0],
        rtol=0,
        atol=1e-5,
    )


def test_weights_that_learn_get_their_gradient() -> None:
    maps = torch.randn(2, 3, 4, 4, requires_grad=True)
    parts = (maps, torch.randn(1, 3, 1, 1, requires_grad=True), torch.randn(1, requires_grad=True))
    found = torch.autograd.grad(doubled_logits(*parts).square().sum(), parts)
    expected = torch.autograd.grad(literally(*parts).square().sum(), parts)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_several_maps_of_logits() -> None:
    parts = (torch.randn(2, 3, 4, 4), torch.randn(2, 3, 1, 1), torch.randn(2))
    assert torch.equal(doubled_logits(*parts), literally(*parts))
