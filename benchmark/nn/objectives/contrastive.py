"""The InfoNCE loss with the negatives of all processes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_rank
from torch import Tensor

from benchmark.nn.precision import to_float32


def info_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """InfoNCE (van den Oord et al. 2018): −log exp(q·k⁺/T) / Σ exp(q·k/T), mean over the queries.

    Queries and keys are ℓ2-normalised. Keys are gathered from all processes; those of other samples
    are negatives. Keys get no gradient, so that averaging loss and gradients over the processes
    gives those of the global batch. Both are B×D; key i is the positive of query i.
    """
    # Cosine similarities differ in the third decimal, beyond the precision of bf16.
    with torch.autocast(queries.device.type, enabled=False):
        keys = F.normalize(to_float32(keys.detach()), dim=1)
        all_keys = torch.cat(all_gather(keys))
        logits = F.normalize(to_float32(queries), dim=1) @ all_keys.T / temperature
        first = len(queries) * get_rank()
        positives = torch.arange(first, first + len(queries), device=queries.device)
        return F.cross_entropy(logits, positives)
