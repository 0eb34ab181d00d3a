"""Projectors, and the head of prototypes against torch's weight normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from benchmark.nn.projection import PrototypeHead, Prototypes


def test_prototypes_are_a_weight_normalised_layer() -> None:
    torch.manual_seed(0)
    own = Prototypes(5, 7, learned_lengths=True)
    nn.init.uniform_(own.weight_g, 0.5, 2)
    plain = weight_norm(nn.Linear(5, 7, bias=False))
    weights = plain.parametrizations.weight
    with torch.no_grad():
        weights.original0.copy_(own.weight_g)
        weights.original1.copy_(own.weight_v)
    rows = torch.randn(3, 5)
    torch.testing.assert_close(own(rows), plain(rows))
    own(rows).square().sum().backward()
    plain(rows).square().sum().backward()
    torch.testing.assert_close(own.weight_g.grad, weights.original0.grad)
    torch.testing.assert_close(own.weight_v.grad, weights.original1.grad)


def test_prototype_lengths_are_fixed_by_default() -> None:
    own = Prototypes(5, 7)
    own(torch.randn(3, 5)).sum().backward()
    assert own.weight_g.grad is None
    assert not own.weight_g.requires_grad
    assert torch.equal(own.weight_g, torch.ones(7, 1))
    # Rows of length 1: the logits of unit vectors are cosines, whatever the rows' own length.
    with torch.no_grad():
        own.weight_v.mul_(100)
    unit = F.normalize(torch.randn(30, 5), dim=1)
    assert own(unit).abs().max() <= 1 + 1e-6


def test_logits_are_not_rounded_under_autocast() -> None:
    """The last product runs in float32: cosines in bf16 would be off by up to 0.004."""
    torch.manual_seed(0)
    head = PrototypeHead(6, hidden=9, bottleneck=5, prototypes=7)
    tokens = torch.randn(4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        unit = head.project(tokens)
        logits = head.last_layer(unit)
    assert unit.dtype == logits.dtype == torch.float32
    assert torch.equal(logits, head.last_layer(unit))
    assert head.double()(tokens.double()).dtype == torch.float64
