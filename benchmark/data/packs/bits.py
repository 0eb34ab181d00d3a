"""Masks at one bit per pixel: eight neighbours of a row per byte, the first in the highest bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def pack_bits(mask: np.ndarray) -> np.ndarray:
    """Pack a bool array …×W into uint8 …×(W/8).

    Raises:
        ValueError: W is not a multiple of 8, or the array is not bool.
    """
    if mask.dtype != np.bool_ or mask.shape[-1] % 8:
        raise ValueError(
            f"need bool with a last axis divisible by 8, got {mask.dtype} {mask.shape}"
        )
    return np.packbits(mask, axis=-1)


@overload
def unpack_bits(bits: np.ndarray) -> np.ndarray: ...
@overload
def unpack_bits(bits: Tensor) -> Tensor: ...
def unpack_bits(bits):
    """Unpack uint8 …×K into bool …×8K: an array for an array, a tensor for a tensor.

    A tensor is unpacked on its own device without a host synchronisation.
    """
    if isinstance(bits, np.ndarray):
        return np.unpackbits(bits, axis=-1).view(np.bool_)
    import torch

    shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=bits.device)
    return ((bits.unsqueeze(-1) >> shifts) & 1).flatten(-2).bool()
