"""Batch normalisation synchronised across processes, on any device."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class _SyncStatistics(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation that computes training statistics over the global batch.

    Torch's own `SyncBatchNorm`, which replaces this one when a model is moved to GPUs, does not run
    on CPUs. On a single process, and in evaluation mode, this is bit-identical to torch's plain
    layer. All processes must hold the same number of samples.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Normalise B×C or B×C×…."""
        if not self.training or not torch.distributed.is_initialized():
            return super().forward(features)
        world_size = torch.distributed.get_world_size()
        count = world_size * features.numel() // features.shape[1]
        reduced = [axis for axis in range(features.ndim) if axis != 1]
        per_channel = (-1, *[1] * (features.ndim - 2))
        mean = all_reduce(features.mean(dim=reduced)) / world_size
        centred = features - mean.view(per_channel)
        variance = all_reduce(centred.square().mean(dim=reduced)) / world_size
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            # As in torch, running statistics hold the unbiased variance.
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        normalised = centred * (variance + self.eps).rsqrt().view(per_channel)
        if not self.affine:
            return normalised
        return normalised * self.weight.view(per_channel) + self.bias.view(per_channel)


class SyncBatchNorm1d(_SyncStatistics, nn.BatchNorm1d):
    """Synchronised `nn.BatchNorm1d`."""


class SyncBatchNorm2d(_SyncStatistics, nn.BatchNorm2d):
    """Synchronised `nn.BatchNorm2d`."""


def convert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """Convert every `nn.BatchNorm2d` of a module in place; state-dict names do not change."""
    for layer in module.modules():
        if type(layer) is nn.BatchNorm2d:
            # Weights, buffers and settings stay; only `forward` differs.
            layer.__class__ = SyncBatchNorm2d
    return module
