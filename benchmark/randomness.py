"""Stateless randomness: every random number is a hash of what it is for.

A number is a function of (seed, epoch, sample index, stream, position), never of what was drawn
before. So crops, masks and the order of samples do not depend on the number of workers, on the
number of processes, or on where a run was interrupted, and nothing about them has to be stored in
a checkpoint. The mixing function is SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_MASK_64 = (1 << 64) - 1


def stream_key(*parts: int | str) -> int:
    """A 64-bit key from integers and names, e.g. ``stream_key(seed, epoch, "crop")``."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _signed(value: int) -> int:
    """The int64 with the same 64 bits: torch has no unsigned arithmetic."""
    value &= _MASK_64
    return value - (1 << 64) if value >= 1 << 63 else value


def _shift_right(value: Tensor, bits: int) -> Tensor:
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _mix(value: Tensor) -> Tensor:
    value = (value ^ _shift_right(value, 30)) * _signed(_MIX_1)
    value = (value ^ _shift_right(value, 27)) * _signed(_MIX_2)
    return value ^ _shift_right(value, 31)


def hash_bits(key: int | Sequence[int], index: Tensor, count: int) -> Tensor:
    """64 hashed bits for every (sample, position).

    Args:
        key: what the numbers are for, from `stream_key`; or K keys, hashed together.
        index: int64 tensor of shape B, the identity of each sample.
        count: how many numbers each sample needs.

    Returns:
        int64 tensor of shape B×count on the device of `index`; K·B×count for K keys, all
        samples of the first key, then of the second, and so on.
    """
    samples = index.to(torch.int64) * _signed(_GOLDEN)
    keys = [key] if isinstance(key, int) else key
    state = _mix(torch.cat([samples + _signed(key) for key in keys]))
    position = torch.arange(1, count + 1, device=index.device, dtype=torch.int64)
    return _mix(state[:, None] + position * _signed(_GOLDEN))


def uniform(
    seed: int, epoch: int, stream: str | Sequence[str], index: Tensor, count: int
) -> Tensor:
    """Uniform numbers in the open interval (0, 1), float32, shape B×count.

    Several streams drawn together are K·B×count: those of the first for all samples, and so on.

    23 bits and half a step keep both ends out: `log(u)` and `log(1 - u)` are always finite.
    """
    streams = [stream] if isinstance(stream, str) else stream
    keys = [stream_key(seed, epoch, name) for name in streams]
    bits = _shift_right(hash_bits(keys, index, count), 41)
    return (bits.to(torch.float32) + 0.5) * 2.0**-23


def permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    """The order of `length` samples in one epoch, int64, equal on all machines and versions."""
    index = torch.arange(length, dtype=torch.int64)
    keys = hash_bits(stream_key(seed, epoch, "order"), index, 1)[:, 0]
    return np.argsort(keys.numpy(), kind="stable")


def numpy_generator(*parts: int | str) -> np.random.Generator:
    """A numpy generator for work outside the training step, keyed like everything else."""
    return np.random.Generator(np.random.PCG64(stream_key(*parts)))


def seed_torch(*parts: int | str) -> None:
    """Key torch's global generators (drop path, dropout, weight initialisation)."""
    seed = stream_key(*parts) >> 1
    if torch.cuda.is_available():
        torch.manual_seed(seed)
    else:  # `manual_seed` records a stack trace at every step for GPUs that are not initialised
        torch.default_generator.manual_seed(seed)
