"""The precision of what must not be rounded under autocast."""

from __future__ import annotations

import torch
from torch import Tensor


def to_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32, where it has less than that; float64 stays."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
