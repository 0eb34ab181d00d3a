"""CrossMAE's decoder against torch's own attention and against loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.nn.decoders.cross_attention import (
    CrossAttention,
    CrossAttentionBlock,
    CrossAttentionDecoder,
    WeightedFeatureMaps,
)


def test_attention_matches_torch(randomise) -> None:
    """nn.MultiheadAttention with another width of keys and values: outputs and gradients."""
    ours = randomise(CrossAttention(16, 24, 4), 0)
    theirs = nn.MultiheadAttention(16, 4, kdim=24, vdim=24, batch_first=True)
    with torch.no_grad():
        key, value = ours.kv.weight.chunk(2)
        theirs.q_proj_weight.copy_(ours.q.weight)
        theirs.k_proj_weight.copy_(key)
        theirs.v_proj_weight.copy_(value)
        theirs.in_proj_bias.copy_(torch.cat([ours.q.bias, ours.kv.bias]))
        theirs.out_proj.load_state_dict(ours.proj.state_dict())
    inputs = [torch.randn(2, 5, 16), torch.randn(2, 7, 24)]
    gradients = []
    for attend in (ours, lambda x, y: theirs(x, y, y, need_weights=False)[0]):
        queries, context = (tensor.clone().requires_grad_() for tensor in inputs)
        output = attend(queries, context)
        output.square().sum().backward()
        gradients.append((output.detach(), queries.grad, context.grad))
    for mine, other in zip(*gradients):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.q.weight.grad, theirs.q_proj_weight.grad, rtol=1e-4, atol=1e-5)


def test_block_has_two_residual_branches(randomise) -> None:
    """x + CrossAttn(LN x, y), then + MLP(LN x); y is not normalised."""
    block = randomise(CrossAttentionBlock(16, 24, 4), 1)
    x, y = torch.randn(2, 5, 16), torch.randn(2, 7, 24)
    middle = x + block.cross_attn(block.norm1(x), y)
    expected = middle + block.mlp.fc2(nn.functional.gelu(block.mlp.fc1(block.norm2(middle))))
    torch.testing.assert_close(block(x, y), expected)


def test_mixtures_by_loops() -> None:
    """Mixture j is the sum over k of w_jk · map_k."""
    mixer = WeightedFeatureMaps(3, 2)
    maps = [torch.randn(2, 4, 5) for _ in range(3)]
    mixtures = mixer(maps)
    assert mixtures.shape == (2, 2, 4, 5)
    for j in range(2):
        expected = sum(mixer.linear.weight[j, k] * maps[k] for k in range(3))
        torch.testing.assert_close(mixtures[j], expected)


@pytest.fixture
def decoder(randomise) -> CrossAttentionDecoder:
    return randomise(CrossAttentionDecoder(24, (3, 4), 2, 3, width=16, depth=2, num_heads=2), 2)


@pytest.fixture
def maps() -> list[Tensor]:
    return [torch.randn(2, 1 + 4, 24) for _ in range(3)]


@torch.no_grad()
def test_positions_are_predicted_independently(decoder: CrossAttentionDecoder, maps) -> None:
    """Alone, together, or in another order: a position gets the same prediction."""
    ids = torch.tensor([[7, 2, 11], [0, 5, 4]])
    together = decoder(maps, ids)
    assert together.shape == (2, 3, 2 * 2 * 3)
    for place in range(3):
        alone = decoder(maps, ids[:, [place]])
        torch.testing.assert_close(alone[:, 0], together[:, place], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(decoder(maps, ids.flip(1)), together.flip(1), rtol=1e-5, atol=1e-6)
    assert (together[:, 0] - together[:, 1]).abs().max() > 1e-3


@torch.no_grad()
def test_each_block_attends_to_its_own_mixture(decoder: CrossAttentionDecoder, maps) -> None:
    """Written out: query = mask token + position; block i sees norm_i of mixture i."""
    ids = torch.tensor([[3], [8]])
    queries = decoder.mask_token[0] + decoder.decoder_pos_embed[0, 1:][ids]
    for number, block in enumerate(decoder.decoder_blocks):
        weights = decoder.wfm.linear.weight[number]
        mixture = weights[0] * maps[0] + weights[1] * maps[1] + weights[2] * maps[2]
        queries = block(queries, decoder.dec_norms[number](mixture))
    expected = decoder.decoder_pred(decoder.decoder_norm(queries))
    torch.testing.assert_close(decoder(maps, ids), expected, rtol=1e-5, atol=1e-6)


def test_indivisible_width_is_refused() -> None:
    """Heads share the width, and the position table has four parts."""
    with pytest.raises(InputError, match="width=18 must be a multiple of 4 and of num_heads"):
        CrossAttentionDecoder(24, (2, 2), 2, 3, width=18, depth=1, num_heads=2)
