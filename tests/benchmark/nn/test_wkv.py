"""Bi-WKV against its equation with all T² weights in fp64, and the Q-shift by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmark.nn.wkv import bidirectional_wkv, q_shift


def definition(w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Eq. 4 of Vision-RWKV, place by place; a softmax, so that large keys do not overflow."""
    length = k.shape[1]
    places = []
    for t in range(length):
        logits = [
            u + k[:, t] if i == t else k[:, i] - (abs(t - i) - 1) / length * w
            for i in range(length)
        ]
        weights = torch.stack(logits, dim=1).softmax(dim=1)
        places.append((weights * v).sum(1))
    return torch.stack(places, dim=1)


def random_inputs(length: int, size: float = 1.0) -> list[Tensor]:
    """w of both signs, u, k (times `size`) and v for 2 sequences of 3 channels, fp64."""
    generator = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return [
        torch.tensor([-3.0, 0.0, 5.0], dtype=torch.float64),
        normal(3),
        size * normal(2, length, 3),
        normal(2, length, 3),
    ]


@pytest.mark.parametrize("length", [1, 2, 3, 8, 31])
def test_values_and_gradients_match_the_equation(length: int) -> None:
    inputs = [tensor.requires_grad_() for tensor in random_inputs(length)]
    expected, found = definition(*inputs), bidirectional_wkv(*inputs)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    weight = torch.randn_like(expected)
    # A single token has no distance to decay over: the equation does not contain w then.
    wanted = torch.autograd.grad((expected * weight).sum(), inputs, materialize_grads=True)
    got = torch.autograd.grad((found * weight).sum(), inputs)
    for one, other in zip(got, wanted):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11)


def test_the_equation_by_hand() -> None:
    """Weights of 1, 2 and 4 with the bonus doubling one's own, and a half per step of distance."""
    k = torch.tensor([1.0, 2.0, 4.0]).log()[None, :, None]
    v = torch.tensor([[[7.0], [14.0], [28.0]]])
    w, u = torch.tensor([3.0]) * torch.tensor(2.0).log(), torch.tensor([2.0]).log()
    found = bidirectional_wkv(w, u, k, v)[0, :, 0]
    expected = [
        (2 * 7 + 2 * 14 + 2 * 28) / (2 + 2 + 2),
        (1 * 7 + 4 * 14 + 4 * 28) / (1 + 4 + 4),
        (0.5 * 7 + 2 * 14 + 8 * 28) / (0.5 + 2 + 8),
    ]
    torch.testing.assert_close(found, torch.tensor(expected))


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_large_keys_neither_overflow_nor_vanish(size: float) -> None:
    """exp(100) is no fp32 number, exp(−104) is 0 in fp32."""
    w, u, k, v = random_inputs(40, size)
    single = [tensor.float().requires_grad_() for tensor in (w, u, k, v)]
    found = bidirectional_wkv(*single)
    expected = definition(w, u, single[2].detach().double(), v)
    # The rounding of the key itself, relative to its size, is what remains.
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-6 * size)
    found.square().sum().backward()
    assert all(bool(tensor.grad.isfinite().all()) for tensor in single)


def test_long_sequence_in_fp32() -> None:
    """56·56 tokens; all values equal stay so, because the result is a mean."""
    w, u, k, v = (tensor.float() for tensor in random_inputs(3136, 3.0))
    torch.testing.assert_close(
        bidirectional_wkv(w, u, k, torch.full_like(v, 0.7)), torch.full_like(v, 0.7)
    )
    whole = (k.double().exp() * v.double()).sum(1) / k.double().exp().sum(1)
    found = bidirectional_wkv(torch.zeros(3), torch.zeros(3), k, v)
    torch.testing.assert_close(found.double(), whole[:, None].expand_as(k), rtol=0, atol=1e-5)


def test_half_precision_is_computed_in_fp32() -> None:
    half = [tensor.bfloat16() for tensor in random_inputs(20)]
    found = bidirectional_wkv(*half)
    assert found.dtype == torch.float32
    expected = definition(*(tensor.double() for tensor in half))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


def test_q_shift_shifts_each_quarter() -> None:
    tile = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    shifted = q_shift(tile.expand(1, 6, 2, 3))[0]
    expected = [
        [[0, 1, 2], [0, 4, 5]],  # from the left
        [[2, 3, 0], [5, 6, 0]],  # from the right
        [[0, 0, 0], [1, 2, 3]],  # from above
        [[4, 5, 6], [0, 0, 0]],  # from below
        [[1, 2, 3], [4, 5, 6]],  # beyond four equal quarters
        [[1, 2, 3], [4, 5, 6]],
    ]
    assert shifted.tolist() == expected
