"""One optimiser step over a batch that is cut into equal parts.

A recipe asks for a batch (2048), a device has room for a part of it. The parts also fix the order
in which a gradient is summed: two processes with one part each add the same two numbers as one
process with two parts, so losses and weights are equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.randomness import seed_torch


def unwrap(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


def count_parts(share: int, micro_batch: int | None) -> int:
    """Parts a process cuts its share of the batch into.

    Args:
        share: samples of one step on one process.
        micro_batch: samples of one forward pass; None, or more than the share: all at once.

    Raises:
        InputError: the share is not a multiple of `micro_batch`.
    """
    if micro_batch is None or micro_batch >= share:
        return 1
    if micro_batch < 1 or share % micro_batch:
        raise InputError(
            f"micro_batch={micro_batch}: has to divide the {share} samples of a process"
        )
    return share // micro_batch


class AccumulatingOptimWrapper(OptimWrapper):
    """mmengine's wrapper, counting the parts of a step instead of the iterations of the run.

    It divides each loss by the number of parts, adds up their gradients, exchanges them between the
    processes with the last part only, and then takes the step.
    """

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """The loop counts whole steps, and always finishes one: there is no remainder."""


def training_step(
    model: nn.Module, batch: Any, optimizer: AccumulatingOptimWrapper
) -> dict[str, Tensor]:
    """Forward and backward of every part of a batch, and one step of the optimiser.

    Torch's generators are keyed anew for each part by its place in the global batch, so drop path
    depends neither on what ran before nor on which process a part fell to.

    Returns:
        The terms of the loss, detached, as means over the parts.
    """
    parts = optimizer._accumulative_counts
    progress = unwrap(model).progress
    sums: dict[str, Tensor] = {}
    for number, part in enumerate(_cut(batch, parts)):
        seed_torch(progress.seed, "step", progress.step, get_rank() * parts + number)
        for name, value in model.train_step(part, optim_wrapper=optimizer).items():
            value = value.detach() / parts
            sums[name] = sums[name] + value if name in sums else value
    return sums


def _cut(batch: Any, parts: int) -> Iterator[Any]:
    if parts == 1:
        yield batch
        return
    pieces = {name: torch.chunk(value, parts) for name, value in batch.items()}
    for number in range(parts):
        yield {name: piece[number] for name, piece in pieces.items()}


class AccumulatingLoop(EpochBasedTrainLoop):
    """mmengine's epoch loop, with an optimiser step over several parts as its iteration."""

    def run_iter(self, idx: int, data_batch: Any) -> None:
        runner = self.runner
        runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = training_step(runner.model, data_batch, runner.optim_wrapper)
        runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1
