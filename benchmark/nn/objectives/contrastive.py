"""InfoNCE: find the other view of a sample among those of all samples."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.nn.collectives import gather_samples, rank_and_world_size
from benchmark.nn.precision import to_float32


def info_nce(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """−log exp(q·k⁺/T) / Σ exp(q·k/T), mean over the queries (van den Oord et al. 2018).

    Both are normalised first. The keys of all processes are the candidates, those of other samples
    the negatives; nothing passes through them, so that the mean of this loss over the processes,
    and of its gradient, is that of the whole batch.

    Args:
        queries: B×D.
        keys: B×D; row i is the positive of query i.
        temperature: T.
    """
    # Cosines differ in their third decimal, where bf16 ends.
    with torch.autocast(queries.device.type, enabled=False):
        candidates = gather_samples(F.normalize(to_float32(keys), dim=1))
        logits = F.normalize(to_float32(queries), dim=1) @ candidates.T / temperature
        own = len(queries) * rank_and_world_size()[0]
        positive = torch.arange(own, own + len(queries), device=queries.device)
        return F.cross_entropy(logits, positive)
