"""Batch normalisation over the samples of all processes, on any device."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class _SharedStatistics(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation whose statistics in training are those of the batch of all processes.

    Torch's own `SyncBatchNorm`, which takes this one's place when a model is put on GPUs, does not
    run on CPUs. On one process, and in evaluation, this is torch's plain layer to the last bit. All
    processes must have equally many samples.
    """

    def forward(self, features: Tensor) -> Tensor:
        """B×C or B×C×… to the same shape."""
        if not self.training or not torch.distributed.is_initialized():
            return super().forward(features)
        processes = torch.distributed.get_world_size()
        count = processes * features.numel() // features.shape[1]
        others = [axis for axis in range(features.ndim) if axis != 1]
        per_channel = (-1, *[1] * (features.ndim - 2))
        mean = all_reduce(features.mean(dim=others)) / processes
        centred = features - mean.view(per_channel)
        variance = all_reduce(centred.square().mean(dim=others)) / processes
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            # Running statistics keep the unbiased variance, as torch's do.
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        normalised = centred * (variance + self.eps).rsqrt().view(per_channel)
        if not self.affine:
            return normalised
        return normalised * self.weight.view(per_channel) + self.bias.view(per_channel)


class SharedBatchNorm1d(_SharedStatistics, nn.BatchNorm1d):
    """`nn.BatchNorm1d` over the samples of all processes."""


class SharedBatchNorm2d(_SharedStatistics, nn.BatchNorm2d):
    """`nn.BatchNorm2d` over the samples of all processes."""


def share_batch_statistics(module: nn.Module) -> nn.Module:
    """Turn every `nn.BatchNorm2d` of a module into a shared one, in place; names stay."""
    for layer in module.modules():
        if type(layer) is nn.BatchNorm2d:
            # Weights, statistics and settings are the same; only `forward` differs.
            layer.__class__ = SharedBatchNorm2d
    return module
