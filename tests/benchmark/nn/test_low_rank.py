"""Low-rank updates against the paper's formula, and against an update of the whole weight."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.low_rank import LowRankUpdate, add_low_rank, merge_low_rank

WIDTH = 12


def network(seed: int = 0) -> nn.Module:
    """Two blocks of 12 channels and three heads in double precision."""
    torch.manual_seed(seed)
    return nn.Sequential(*(Block(WIDTH, 3, qkv_bias=True) for _ in range(2))).double()


def updates(model: nn.Module) -> list[LowRankUpdate]:
    return [module for module in model.modules() if isinstance(module, LowRankUpdate)]


def randomise(model: nn.Module) -> None:
    """B as after some training."""
    torch.manual_seed(5)
    for update in updates(model):
        nn.init.normal_(update.lora_b)


def orthogonal(size: int) -> Tensor:
    return torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q


@pytest.fixture
def tokens() -> Tensor:
    torch.manual_seed(9)
    return torch.randn(2, 5, WIDTH, dtype=torch.float64)


def test_outputs_are_those_of_the_formula(tokens):
    """h = W·x + (α/r)·B·A·x for queries and values; keys stay."""
    model = network()
    layer = model[0].attn.qkv
    before = layer(tokens)
    assert add_low_rank(model, ("q", "v"), rank=2, alpha=6.0, seed=0) == 4
    assert torch.equal(layer(tokens), before), "B is zero at first"
    randomise(model)
    query, value = layer.parametrizations.weight
    added = [3.0 * (tokens @ one.lora_a.T) @ one.lora_b.T for one in (query, value)]
    old = before.split(WIDTH, dim=-1)
    expected = torch.cat([old[0] + added[0], old[1], old[2] + added[1]], dim=-1)
    torch.testing.assert_close(layer(tokens), expected, rtol=1e-12, atol=1e-12)


def test_the_whole_of_a_fused_layer_gets_one_update(tokens):
    model = network()
    layer = model[1].attn.qkv
    before = layer(tokens)
    assert add_low_rank(model, ("attn.qkv", "fc2"), rank=3, alpha=3.0, seed=0) == 4
    randomise(model)
    (update,) = layer.parametrizations.weight
    assert update.lora_b.shape == (3 * WIDTH, 3)
    expected = before + (tokens @ update.lora_a.T) @ update.lora_b.T
    torch.testing.assert_close(layer(tokens), expected, rtol=1e-12, atol=1e-12)


def test_initial_values_are_keyed(tokens):
    """A is uniform in ±1/√in, as in the authors' code; another for each seed, layer and part."""
    drawn = {}
    for seed in (3, 4, 3):
        model = network()
        torch.manual_seed(len(drawn))  # what ran before does not matter
        add_low_rank(model, ("q", "v"), rank=8, alpha=8.0, seed=seed)
        values = [update.lora_a.detach() for update in updates(model)]
        if seed in drawn:
            assert all(map(torch.equal, values, drawn[seed]))
        drawn[seed] = values
    every = [*drawn[3], *drawn[4]]
    assert len({tuple(value.flatten().tolist()) for value in every}) == 8
    largest = torch.stack(every).abs().max()
    assert 0.9 / WIDTH**0.5 < largest <= 1 / WIDTH**0.5
    assert all(not update.lora_b.any() for update in updates(model))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_merged_weights_give_equal_outputs(tokens, dtype):
    model = network().to(dtype)
    names = model.state_dict().keys()
    plain = model(tokens.to(dtype))
    add_low_rank(model, ("q", "v", "proj", "fc1"), rank=4, alpha=8.0, seed=0)
    randomise(model)
    adapted = model(tokens.to(dtype))
    assert (adapted - plain).abs().max() > 0.1
    merge_low_rank(model)
    assert model.state_dict().keys() == names
    assert not updates(model)
    assert type(model[0].attn.qkv) is nn.Linear
    assert torch.equal(model(tokens.to(dtype)), adapted)
    merge_low_rank(model)  # nothing is left to do
    assert torch.equal(model(tokens.to(dtype)), adapted)


def test_a_rank_of_the_width_expresses_any_update():
    """B = ΔW·A⁻¹·r/α, where A is square and of full rank."""
    model = network()
    weight = model[0].attn.qkv.weight.detach().clone()
    add_low_rank(model, ("qkv",), rank=WIDTH, alpha=5.0, seed=0)
    torch.manual_seed(2)
    change = torch.randn(3 * WIDTH, WIDTH, dtype=torch.float64)
    (update,) = model[0].attn.qkv.parametrizations.weight
    with torch.no_grad():
        update.lora_b.copy_(change @ torch.linalg.inv(update.lora_a) * WIDTH / 5)
    torch.testing.assert_close(model[0].attn.qkv.weight, weight + change, rtol=1e-9, atol=1e-9)


def test_training_at_the_width_is_full_training(tokens):
    """Gradient descent on B alone, with A orthogonal: ∂L/∂B = (α/r)·G·Aᵀ for the gradient G of the
    weight, so a step of η·(r/α)² changes the weight by −η·G·Aᵀ·A = −η·G."""
    full, adapted = network(), network()
    add_low_rank(adapted, ("qkv", "fc1"), rank=WIDTH, alpha=6.0, seed=0)
    layers = [(block.attn.qkv, block.mlp.fc1) for block in (*full, *adapted)]
    weights = [layer.weight for pair in layers[:2] for layer in pair]
    with torch.no_grad():
        for update in updates(adapted):
            update.lora_a.copy_(orthogonal(WIDTH))
    factors = [update.lora_b for update in updates(adapted)]
    rate = 0.05
    for model, trained, step in (
        (full, weights, rate),
        (adapted, factors, rate * (WIDTH / 6.0) ** 2),
    ):
        for number in range(5):
            loss = (model(tokens) - tokens.roll(number, 1)).square().mean()
            gradients = torch.autograd.grad(loss, trained)
            with torch.no_grad():
                for parameter, gradient in zip(trained, gradients, strict=True):
                    parameter -= step * gradient
    start = [layer.weight for block in network() for layer in (block.attn.qkv, block.mlp.fc1)]
    found = [layer.weight for pair in layers[2:] for layer in pair]
    for before, one, two in zip(start, weights, found, strict=True):
        assert (one - before).abs().max() > 1e-4, "something was learnt"
        torch.testing.assert_close(two, one, rtol=1e-10, atol=1e-12)


def test_weights_that_are_read_instead_of_called_are_updated(tokens):
    layer = nn.Linear(WIDTH, 4).double()
    model = nn.ModuleDict({"head": layer})
    before = F.linear(tokens, layer.weight)
    add_low_rank(model, ("head",), rank=2, alpha=2.0, seed=0)
    randomise(model)
    assert not torch.equal(F.linear(tokens, layer.weight), before)


def test_updates_are_formed_in_single_precision_under_autocast():
    model = network().float()
    add_low_rank(model, ("q",), rank=2, alpha=2.0, seed=0)
    randomise(model)
    expected = model[0].attn.qkv.weight
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model[0].attn.qkv.weight, expected)


@pytest.mark.parametrize(
    ("targets", "rank", "message"),
    [
        (("q", "w"), 2, r"no 'w' in the encoder to adapt; it has qkv, q, k, v, proj, fc1, fc2$"),
        (("kv",), 2, r"no 'kv' in the encoder"),
        ((), 2, r"lora.targets: none"),
        (("q",), 13, r"lora.rank=13: 0.attn.q has rank 12 at most"),
    ],
)
def test_what_cannot_be_adapted_is_said(targets, rank, message):
    model = network()
    with pytest.raises(InputError, match=message):
        add_low_rank(model, targets, rank, alpha=1.0, seed=0)
    assert not updates(model), "nothing is changed"


def test_a_network_without_linear_layers_is_refused():
    with pytest.raises(InputError, match="no 'q' in the encoder to adapt; it has no linear layers"):
        add_low_rank(nn.Sequential(nn.Conv2d(3, 3, 1)), ("q",), rank=1, alpha=1.0, seed=0)
