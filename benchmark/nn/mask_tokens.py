"""Sequences in which a learned token stands for each hidden patch."""

from __future__ import annotations

import torch
from torch import Tensor


def fill_with_mask_tokens(
    tokens: Tensor, mask_token: Tensor, ids_restore: Tensor, num_prefix_tokens: int
) -> Tensor:
    """The whole sequence in raster order, from its visible tokens.

    Args:
        tokens: B×(prefix + K)×D, prefix tokens (CLS) and the K visible patches.
        mask_token: 1×1×D, takes the place of each hidden patch.
        ids_restore: B×N, position of each patch in [visible | masked] order.
        num_prefix_tokens: leading tokens that are not patches; they stay in front.

    Returns:
        B×(prefix + N)×D.
    """
    prefix, visible = tokens[:, :num_prefix_tokens], tokens[:, num_prefix_tokens:]
    hidden = ids_restore.shape[1] - visible.shape[1]
    # Under autocast the tokens are narrower than the parameter.
    stand_ins = mask_token.to(tokens.dtype).expand(len(tokens), hidden, -1)
    patches = torch.cat([visible, stand_ins], dim=1)
    patches = patches.gather(1, ids_restore[..., None].expand(-1, -1, tokens.shape[2]))
    return torch.cat([prefix, patches], dim=1)
