"""Selecting tokens of a sequence, and filling a sequence up with mask tokens."""

from __future__ import annotations

import torch
from torch import Tensor


def gather_tokens(tokens: Tensor, ids: Tensor) -> Tensor:
    """The tokens at the given positions: B×N×D and B×… int64 to B×…×D."""
    picked = tokens.gather(1, ids.flatten(1)[..., None].expand(-1, -1, tokens.shape[2]))
    return picked.unflatten(1, ids.shape[1:])


def fill_with_mask_tokens(
    tokens: Tensor, mask_token: Tensor, ids_restore: Tensor, num_prefix_tokens: int
) -> Tensor:
    """The full sequence in raster order, B×(prefix + N)×D, from its visible tokens.

    Args:
        tokens: B×(prefix + K)×D, prefix tokens (CLS), which stay in front, and K visible patches.
        mask_token: 1×1×D, stands in for each masked patch.
        ids_restore: B×N, position of each patch in [visible | masked] order.
    """
    prefix, visible = tokens[:, :num_prefix_tokens], tokens[:, num_prefix_tokens:]
    masked = ids_restore.shape[1] - visible.shape[1]
    # Under autocast the tokens have a lower precision than the parameter.
    mask_tokens = mask_token.to(tokens.dtype).expand(len(tokens), masked, -1)
    patches = gather_tokens(torch.cat([visible, mask_tokens], dim=1), ids_restore)
    return torch.cat([prefix, patches], dim=1)
