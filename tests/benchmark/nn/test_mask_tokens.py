"""Where mask tokens go."""

from __future__ import annotations

import pytest
import torch

from benchmark.nn.mask_tokens import fill_with_mask_tokens


@pytest.mark.parametrize("prefix", [0, 1, 3])
def test_visible_tokens_return_to_their_places(prefix: int) -> None:
    """Token by token; prefix tokens stay in front, hidden places get the mask token."""
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


def test_nothing_is_hidden() -> None:
    """The whole image needs no mask token."""
    tokens = torch.randn(2, 1 + 4, 3)
    order = torch.arange(4).expand(2, -1)
    assert torch.equal(fill_with_mask_tokens(tokens, torch.zeros(1, 1, 3), order, 1), tokens)
