"""What processes tell each other within a step; on one process, nothing."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def rank_and_world_size() -> tuple[int, int]:
    """Number of this process, from 0, and how many there are."""
    if not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


@torch.no_grad()
def gather_samples(tensor: Tensor) -> Tensor:
    """The rows of all processes in their order, without gradients: B×… to (processes·B)×….

    All processes must have equally many.
    """
    tensor = tensor.detach()
    if rank_and_world_size()[1] == 1:
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(rank_and_world_size()[1])]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


@torch.no_grad()
def sum_over_processes(tensor: Tensor) -> Tensor:
    """Sum of this tensor over all processes, without gradients; a new tensor."""
    total = tensor.detach().clone()
    if rank_and_world_size()[1] > 1:
        dist.all_reduce(total)
    return total
