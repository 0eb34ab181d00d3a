"""Clipping of every tensor by itself, against a loop, and as a config asks for it."""

from __future__ import annotations

import pytest
import torch
from no_host_sync import NoHostSync
from torch import nn

from benchmark.errors import InputError
from benchmark.training.clipping import ClipEachTensor
from benchmark.training.optim import build_optimizer


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 1, bias=False))


def give_gradients(layers: nn.Module) -> None:
    """Large, small, zero and none at all."""
    scales = (5.0, 0.01, 3.0, 0.0, None)
    for scale, parameter in zip(scales, layers.parameters()):
        parameter.grad = None if scale is None else scale * torch.ones_like(parameter)


def test_each_tensor_is_scaled_to_its_own_norm():
    """g · min(1, c/(‖g‖ + 10⁻⁶)), which leaves small ones alone; nothing is read back."""
    layers = model()
    give_gradients(layers)
    expected = []
    for parameter in layers.parameters():
        if parameter.grad is None:
            expected.append(None)
            continue
        factor = 0.3 / (float(parameter.grad.square().sum()) ** 0.5 + 1e-6)
        expected.append(parameter.grad * factor if factor < 1 else parameter.grad.clone())
    optimizer = torch.optim.SGD(
        [{"params": layers[0].parameters()}, {"params": layers[1:].parameters()}], lr=0.1
    )
    with NoHostSync():
        ClipEachTensor(0.3)(optimizer)
    for parameter, gradient in zip(layers.parameters(), expected):
        if gradient is None:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, gradient)
    assert layers[0].weight.grad.norm().item() == pytest.approx(0.3, rel=1e-5)
    assert layers[0].bias.grad.norm().item() == pytest.approx(0.02)


def test_a_step_is_taken_with_clipped_gradients():
    """The class in `clip_grad` takes the place of mmengine's clipping of the total norm."""
    layers = model()
    wrapper = build_optimizer(
        layers,
        dict(type=torch.optim.SGD),
        lr=1.0,
        clip_grad=dict(type=ClipEachTensor, max_norm=0.3),
    )
    assert wrapper.clip_grad_kwargs is None
    give_gradients(layers)
    before = [parameter.detach().clone() for parameter in layers.parameters()]
    wrapper.step()
    moved = [float((p - b).detach().norm()) for p, b in zip(layers.parameters(), before)]
    assert moved == pytest.approx([0.3, 0.02, 0.3, 0, 0], rel=1e-4)


def test_nothing_to_clip_and_no_limit():
    layers = model()
    ClipEachTensor(1.0)(torch.optim.SGD(layers.parameters(), lr=0.1))
    assert all(parameter.grad is None for parameter in layers.parameters())
    with pytest.raises(InputError, match="max_norm=0 must be positive; None for no limit"):
        ClipEachTensor(0)
