"""Projectors, and the head of prototypes against torch's weight normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from benchmark.nn.projection import ProjectionMLP, PrototypeHead, Prototypes


def test_projector_matches_the_paper() -> None:
    """Linear without bias, BN, ReLU, …; the last BN has neither scale nor shift."""
    torch.manual_seed(0)
    projector = ProjectionMLP(6, layers=3, hidden=10, out_dim=4)
    plain = nn.Sequential(
        nn.Linear(6, 10, bias=False),
        nn.BatchNorm1d(10),
        nn.ReLU(),
        nn.Linear(10, 10, bias=False),
        nn.BatchNorm1d(10),
        nn.ReLU(),
        nn.Linear(10, 4, bias=False),
        nn.BatchNorm1d(4, affine=False),
    )
    plain.load_state_dict(projector.state_dict(), strict=True)
    rows = torch.randn(5, 6)
    assert torch.equal(projector(rows), plain(rows))
    assert torch.equal(projector.eval()(rows), plain.eval()(rows))
    assert [name for name, _ in ProjectionMLP(4, layers=2, hidden=8).named_parameters()] == [
        "0.weight", "1.weight", "1.bias", "3.weight"
    ]  # fmt: skip


def test_prototypes_are_a_weight_normalised_layer() -> None:
    """Output and gradients of torch's own, with lengths that are trained and not at 1."""
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


def test_head_is_the_composition_of_its_parts() -> None:
    """Linear, GELU, linear, GELU, linear, ℓ2, prototypes, for tokens of any shape."""
    torch.manual_seed(0)
    head = PrototypeHead(6, hidden=9, bottleneck=5, prototypes=7)
    tokens = torch.randn(2, 3, 6)
    first, second, third = head.mlp[0], head.mlp[2], head.mlp[4]
    z = third(F.gelu(second(F.gelu(first(tokens)))))
    z = z / z.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(head.project(tokens), z)
    v = head.last_layer.weight_v
    torch.testing.assert_close(head(tokens), z @ (v / v.norm(dim=1, keepdim=True)).T)
    assert head.prototypes == 7


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
