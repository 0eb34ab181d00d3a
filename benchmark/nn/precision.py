"""Single precision for what must not be rounded under autocast."""

from __future__ import annotations

import torch
from torch import Tensor


def to_float32(tensor: Tensor) -> Tensor:
    """Cast half precision to float32; float32 and float64 are returned as they are."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
