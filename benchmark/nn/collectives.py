"""Collectives without gradients: gather and all-reduce; no-ops on a single process."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def rank_and_world_size() -> tuple[int, int]:
    """Rank of this process, from 0, and the number of processes."""
    if not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


@torch.no_grad()
def gather_samples(tensor: Tensor) -> Tensor:
    """Gather the samples of all ranks in rank order: B×… to (world size·B)×…, detached.

    All ranks must hold the same number of samples.
    """
    tensor = tensor.detach()
    _, world_size = rank_and_world_size()
    if world_size == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(world_size)]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


@torch.no_grad()
def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Sum of a tensor over all ranks, as a new, detached tensor."""
    total = tensor.detach().clone()
    if rank_and_world_size()[1] > 1:
        dist.all_reduce(total)
    return total
