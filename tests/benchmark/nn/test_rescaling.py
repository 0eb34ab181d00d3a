"""The compiled layers against the same ones of torch, one after the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.nn.rescaling import doubled, doubled_logits, halved


def plain_halved(maps: Tensor) -> Tensor:
    return F.relu(F.max_pool2d(maps, 2))


def plain_large(maps: Tensor) -> Tensor:
    return F.relu(F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False))


def plain_doubled(maps: Tensor, skip: Tensor) -> Tensor:
    return plain_large(maps) + skip


def plain_logits(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(plain_large(maps), weight, bias)


def assert_alike(
    ours: Callable[..., Tensor],
    plain: Callable[..., Tensor],
    inputs: list[Tensor],
    learning: int = 1,
) -> None:
    """Equal results and gradients in the first `learning` inputs, and ours not torch's way."""
    for tensor in inputs[:learning]:
        tensor.requires_grad_()
    found, expected = ours(*inputs), plain(*inputs)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    assert type(found.grad_fn).__name__ != type(expected.grad_fn).__name__
    upstream = torch.randn(expected.shape, dtype=expected.dtype)
    pairs = zip(
        torch.autograd.grad(found, inputs[:learning], upstream),
        torch.autograd.grad(expected, inputs[:learning], upstream),
        strict=True,
    )
    for gradient, other in pairs:
        torch.testing.assert_close(gradient, other, rtol=0, atol=1e-13)


SIZES = [(3, 5, 4, 6), (1, 8, 8, 2), (2, 1, 2, 2), (5, 17, 6, 10)]
layouts = pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@layouts
@pytest.mark.parametrize("size", SIZES)
def test_halved(size: tuple[int, ...], layout: torch.memory_format) -> None:
    assert_alike(halved, plain_halved, [torch.randn(size).double().to(memory_format=layout)])


def test_halved_among_equal_pixels_takes_the_first() -> None:
    """Flat parts of a frame, such as its shutters, give maps whose pixels are all alike."""
    maps = torch.randint(-1, 2, (4, 3, 8, 8)).double()
    assert_alike(halved, plain_halved, [maps])


def test_halved_of_an_odd_size_leaves_the_last_pixels_out() -> None:
    maps = torch.randn(2, 3, 5, 7, requires_grad=True)
    assert torch.equal(halved(maps), plain_halved(maps))


@layouts
@pytest.mark.parametrize("size", [*SIZES, (1, 8, 7, 1), (2, 3, 1, 5), (2, 1, 1, 1)])
def test_doubled(size: tuple[int, ...], layout: torch.memory_format) -> None:
    """Edges, single rows and columns, and the gradient of what is skipped to."""
    batch, channels, height, width = size
    maps = torch.randn(size).double().to(memory_format=layout)
    skip = torch.randn(batch, channels, 2 * height, 2 * width).double().to(memory_format=layout)
    assert_alike(doubled, plain_doubled, [maps, skip], learning=2)


@layouts
@pytest.mark.parametrize("size", [*SIZES, (1, 8, 7, 1), (2, 3, 1, 5), (2, 1, 1, 1)])
def test_logits(size: tuple[int, ...], layout: torch.memory_format) -> None:
    maps = torch.randn(size).double().to(memory_format=layout)
    weight, bias = torch.randn(1, size[1], 1, 1).double(), torch.randn(1).double()
    assert_alike(doubled_logits, plain_logits, [maps, weight, bias])


def test_single_precision_agrees_to_its_rounding() -> None:
    maps, skip = torch.randn(3, 8, 16, 16), torch.randn(3, 8, 32, 32)
    weight, bias = torch.randn(1, 8, 1, 1), torch.randn(1)
    assert torch.equal(halved(maps), plain_halved(maps))
    torch.testing.assert_close(doubled(maps, skip), plain_doubled(maps, skip), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        doubled_logits(maps, weight, bias), plain_logits(maps, weight, bias), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_nan_is_handed_on(place: tuple[int, int]) -> None:
    """A loss that is no number must be seen as one, wherever it began."""
    maps = torch.randn(2, 8, 4, 4)
    maps[1, 2, place[0], place[1]] = torch.nan
    reached = plain_large(maps.isnan().float()) > 0
    found = doubled(maps, torch.zeros(2, 8, 8, 8)).isnan()
    assert found.any()
    assert torch.equal(found, reached)
    found = doubled_logits(maps, torch.randn(1, 8, 1, 1), torch.zeros(1)).isnan()
    assert torch.equal(found, reached.any(1, keepdim=True))
    assert torch.equal(halved(maps).isnan(), plain_halved(maps).isnan())


def test_weights_that_learn_get_their_gradient() -> None:
    maps = torch.randn(2, 3, 4, 4, requires_grad=True)
    parts = (maps, torch.randn(1, 3, 1, 1, requires_grad=True), torch.randn(1, requires_grad=True))
    found = torch.autograd.grad(doubled_logits(*parts).square().sum(), parts)
    expected = torch.autograd.grad(plain_logits(*parts).square().sum(), parts)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_several_maps_of_logits() -> None:
    parts = (torch.randn(2, 3, 4, 4), torch.randn(2, 3, 1, 1), torch.randn(2))
    assert torch.equal(doubled_logits(*parts), plain_logits(*parts))


def test_other_number_formats_take_torchs_way() -> None:
    maps, skip = torch.randn(2, 3, 4, 4).bfloat16(), torch.randn(2, 3, 8, 8)
    assert torch.equal(halved(maps), plain_halved(maps))
    assert torch.equal(doubled(maps, skip), plain_doubled(maps, skip))


def test_shapes_that_do_not_fit_are_left_to_torch() -> None:
    """Compiled loops would read beyond the end of such arrays."""
    maps, weight, bias = torch.randn(2, 3, 4, 4), torch.randn(1, 3, 1, 1), torch.zeros(1)
    broadcast = torch.randn(1, 3, 8, 1)
    assert torch.equal(doubled(maps, broadcast), plain_doubled(maps, broadcast))
    wide = torch.randn(1, 3, 3, 3)
    assert torch.equal(doubled_logits(maps, wide, bias), plain_logits(maps, wide, bias))
    for call in (
        lambda: doubled(maps, torch.zeros(2, 3, 4, 4)),
        lambda: doubled(maps, torch.zeros(2, 5, 8, 8)),
        lambda: doubled_logits(maps, weight[:, :2], bias),
        lambda: doubled_logits(maps, weight, torch.zeros(2)),
    ):
        with pytest.raises(RuntimeError):
            call()
