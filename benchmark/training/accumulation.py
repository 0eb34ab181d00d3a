"""One optimiser step over a batch split into equal parts, skipped if its gradient is not finite.

A recipe asks for a batch (2048), a device has room for a part only. The parts also fix the order
in which a gradient is summed: two processes with one part each add the same two numbers as one
process with two parts, so losses and weights are equal to the last bit.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from benchmark.errors import InputError
from benchmark.randomness import seed_torch


def unwrap(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


def count_parts(share: int, micro_batch: int | None) -> int:
    """Parts a process splits its share of the batch into, of `micro_batch` samples; None: one part.

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

    It divides each loss by the number of parts, accumulates their gradients, all-reduces them with
    the last part only, and then takes the step, unless a loss or the gradient is not finite. Then
    parameters and optimiser state stay as they are, without a synchronisation with the host.

    Attributes:
        parts: backward passes of one step.
        grad_norm: 2-norm of the complete gradient of the last step, before clipping.
        finite: whether that step was taken, bool, on the device.
    """

    grad_norm: Tensor
    finite: Tensor

    def __init__(self, optimizer: torch.optim.Optimizer, parts: int = 1, **settings: Any) -> None:
        super().__init__(optimizer, accumulative_counts=parts, **settings)
        self.parts = parts

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """The loop counts complete steps, and always finishes one: there is no remainder."""

    def backward(self, loss: Tensor, **settings: Any) -> None:
        """Gradients of a part; those of a loss that is not finite are NaN.

        So the all-reduce of the gradients carries the decision to all processes, also where the
        loss of only one of them is infinite and its true gradient is finite.
        """
        one = torch.ones_like(loss).masked_fill(~loss.detach().isfinite(), torch.nan)
        super().backward(loss, gradient=one, **settings)

    def step(self, **settings: Any) -> None:
        """Clip and take the step, if the gradient is finite."""
        groups = self.optimizer.param_groups
        parameters = [p for group in groups for p in group["params"] if p.grad is not None]
        self.grad_norm = get_total_norm([p.grad for p in parameters])
        self.finite = self.grad_norm.isfinite()
        if clip := dict(self.clip_grad_kwargs or {}):
            if self.grad_name == "grad_norm" and clip.get("norm_type", 2) == 2:
                # As mmengine, but without reading the norm back at every step.
                clip_grads_with_norm_(parameters, clip["max_norm"], self.grad_norm)
            else:
                self.clip_func(parameters, **clip)
        if _decides_on_device(self.optimizer):
            self.optimizer.found_inf = (~self.finite).float()
            self.optimizer.step(**settings)
            del self.optimizer.found_inf
        elif self.finite:
            self.optimizer.step(**settings)


def _decides_on_device(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimiser skips a step by a flag on the device (`found_inf`).

    Torch's fused Adam and AdamW do. Its fused SGD does too, but leaves the momentum without a value
    where the first step is skipped; for other optimisers the host decides.
    """
    fused = all(group.get("fused") for group in optimizer.param_groups)
    return fused and isinstance(optimizer, torch.optim.Adam)  # AdamW is one


def training_step(
    model: nn.Module, batch: Any, optimizer: AccumulatingOptimWrapper
) -> dict[str, Tensor]:
    """Forward and backward of every part of a batch, and one step of the optimiser.

    Torch's generators are seeded for each part by its place in the global batch, so drop path
    depends neither on what ran before nor on which process has the part.

    Returns:
        The terms of the loss, detached, as means over the parts, and ``grad_norm``, which is not
        finite where the step was skipped.
    """
    parts = optimizer.parts
    progress = unwrap(model).progress
    sums: dict[str, Tensor] = {}
    pieces = {name: torch.chunk(value, parts) for name, value in batch.items()} if parts > 1 else {}
    for number in range(parts):
        part = {name: piece[number] for name, piece in pieces.items()} or batch
        seed_torch(progress.seed, "step", progress.step, get_rank() * parts + number)
        for name, value in model.train_step(part, optim_wrapper=optimizer).items():
            value = value.detach() / parts
            sums[name] = sums[name] + value if name in sums else value
    return {**sums, "grad_norm": optimizer.grad_norm}
