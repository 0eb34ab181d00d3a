"""CrossMAE's decoder against torch's own attention and against loops."""

from __future__ import annotations

import torch
from torch import nn

from benchmark.nn.decoders.cross_attention import (
    CrossAttention,
)


def test_attention_matches_torch(randomise) -> None:
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
