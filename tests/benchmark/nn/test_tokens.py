"""Gathering tokens, and filling sequences with mask tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.nn.tokens import fill_with_mask_tokens, gather_tokens


def test_gathers_tokens_along_any_shape() -> None:
    tokens = torch.randn(2, 5, 3)
    ids = torch.tensor([[[0, 4], [1, 1]], [[2, 3], [4, 0]]])
    found = gather_tokens(tokens, ids)
    for b, m, t in np.ndindex(2, 2, 2):
        assert torch.equal(found[b, m, t], tokens[b, ids[b, m, t]])


@pytest.mark.parametrize("prefix", [0, 1, 3])
def test_visible_tokens_keep_their_positions(prefix: int) -> None:
    torch.manual_seed(0)
    shuffle = torch.stack([torch.randperm(9) for _ in range(4)])
    tokens, mask_token = torch.randn(4, prefix + 3, 5), torch.randn(1, 1, 5)
    filled = fill_with_mask_tokens(tokens, mask_token, shuffle.argsort(dim=1), prefix)
    assert filled.shape == (4, prefix + 9, 5)
    assert torch.equal(filled[:, :prefix], tokens[:, :prefix])
    for sample in range(4):
        kept = shuffle[sample, :3].tolist()
        for patch in range(9):
            known = patch in kept
            expected = tokens[sample, prefix + kept.index(patch)] if known else mask_token[0, 0]
            assert torch.equal(filled[sample, prefix + patch], expected)


def test_unmasked_sequence_is_unchanged() -> None:
    tokens = torch.randn(2, 1 + 4, 3)
    order = torch.arange(4).expand(2, -1)
    assert torch.equal(fill_with_mask_tokens(tokens, torch.zeros(1, 1, 3), order, 1), tokens)
