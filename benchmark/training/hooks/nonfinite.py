"""Steps whose loss or gradient is not finite are skipped: undone without a trace, and reported.

The decision is made on the device, from the norm of the all-reduced gradients, so it is the same on
all processes and nothing waits for it. The optimiser skips its update
(`benchmark.training.accumulation`); what a step changes besides the trained parameters, running
statistics, centres, EMA weights and tables, is restored here. The host learns of it with the next
line of the log.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseAveragedModel
from torch import Tensor, nn

from benchmark.data.packs.loader import EpochBatchSampler
from benchmark.files import write_json
from benchmark.registry import HOOKS
from benchmark.training.accumulation import unwrap

LIMIT = 3
"""Skipped steps in a row that stop a run: weights without a finite loss will not recover."""


class NonFiniteGuard:
    """Restores what a skipped step has changed in a model besides the trained parameters.

    A copy is kept of every buffer and of every parameter without a gradient. After a step, for
    those that may have been written to, a flag on the device decides: if it is true, the copy is
    updated, otherwise they are restored from it. Most of the parameters are frozen for good;
    torch's version counters tell which are not. The counters miss the buffers of batch norms and
    the parameters of mmengine's averaged models: these always count as written to.

    Args:
        model: as it is before its first step.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._kept: dict[str, tuple[Tensor, int, Tensor]] = {}
        self._uncounted = {name for name, _ in model.named_buffers()} | {
            name
            for prefix, part in model.named_modules()
            if isinstance(part, BaseAveragedModel)
            for name, _ in part.named_parameters(prefix)
        }
        self.accept()

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        """Everything in the model that no optimiser changes."""
        yield from self.model.named_buffers()
        for name, parameter in self.model.named_parameters():
            if not parameter.requires_grad:
                yield name, parameter

    def _changed(self) -> list[tuple[str, Tensor, Tensor | None]]:
        """Name, tensor and copy of what may be changed; no copy of what is new or reshaped."""
        changed = []
        for name, tensor in self._state():
            known, version, kept = self._kept.get(name, (None, -1, None))
            if tensor is known and tensor._version == version and name not in self._uncounted:
                continue
            fits = kept is not None and (kept.shape, kept.dtype) == (tensor.shape, tensor.dtype)
            same_place = fits and kept.device == tensor.device
            changed.append((name, tensor, kept if same_place else None))
        return changed

    def _keep(self, changed: list[tuple[str, Tensor, Tensor | None]]) -> None:
        for name, tensor, kept in changed:
            kept = tensor.detach().clone() if kept is None else kept
            self._kept[name] = (tensor, tensor._version, kept)

    @torch.no_grad()
    def accept(self) -> None:
        """Take the present state as the one to restore."""
        changed = self._changed()
        for _, tensor, kept in changed:
            if kept is not None:
                kept.copy_(tensor)
        self._keep(changed)

    @torch.no_grad()
    def settle(self, finite: Tensor) -> None:
        """After a step: keep what it did where the flag is true, else undo it.

        Args:
            finite: bool, without dimensions, on the device of the model.
        """
        changed = self._changed()
        pairs = [(tensor, kept) for _, tensor, kept in changed if kept is not None]
        for tensor, kept in pairs:
            torch.where(finite, tensor, kept, out=kept)
        if pairs:
            tensors, copies = zip(*pairs)
            torch._foreach_copy_(tensors, copies)
        self._keep(changed)


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """After a skipped step: the state of the model is what it was before."""

    priority = "HIGH"  # after EMA and centres, before anything that reads them

    def before_train(self, runner: Any) -> None:
        self.guard = NonFiniteGuard(unwrap(runner.model))

    def before_train_epoch(self, runner: Any) -> None:
        self.guard.accept()  # tables that are written between epochs

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.guard.settle(runner.optim_wrapper.finite)


class SkippedSteps:
    """Counts the skipped steps, and records what is needed to reproduce each of them.

    Args:
        folder: of the run; the files go to ``nonfinite/step_N.json``.

    Attributes:
        total: skipped in the complete run.
        in_a_row: skipped since the last step that was not.
        fatal: first file of `LIMIT` in a row; None so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "nonfinite"
        self.total = 0
        self.in_a_row = 0
        self.fatal: Path | None = None

    def count(self, finite: bool, step: int) -> bool:
        """Note one step, in order; returns whether it was taken."""
        if finite:
            self.in_a_row = 0
            return True
        self.total += 1
        self.in_a_row += 1
        if self.in_a_row == LIMIT and self.fatal is None:
            self.fatal = self.path(step - LIMIT + 1)
        return False

    def path(self, step: int) -> Path:
        return self.folder / f"step_{step}.json"

    def write(self, step: int, epoch: int, terms: dict[str, float], loader: Any) -> None:
        """Record a step (from 1) of an epoch (from 0), its terms, and its samples by the loader."""
        sampler = getattr(loader, "batch_sampler", None)
        keyed = isinstance(sampler, EpochBatchSampler)
        write_json(
            self.path(step),
            {
                "step": step,
                "epoch": epoch,
                "seed": sampler.seed if keyed else None,
                "indices": _batch(sampler, epoch, step - 1) if keyed else None,
                "terms": {n: v if math.isfinite(v) else repr(v) for n, v in terms.items()},
            },
        )


def _batch(sampler: EpochBatchSampler, epoch: int, step: int) -> list[int]:
    """Samples of a step, counted from 0 over the complete run, of all processes together."""
    other = copy.copy(sampler)
    other.set_epoch(epoch)
    start = step % len(other) * other.batch_size
    return [int(index) for index in other.order()[start : start + other.batch_size]]
