"""What counts the waits of a run for the GPU notices one too many, and where it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from benchmark.acceptance import runs
from benchmark.acceptance.findings import Finding
from benchmark.training.hooks import checkpoint as checkpoints
from benchmark.training.hooks import log
from benchmark.training.hooks.step import StepHook

Waiting = Callable[..., list[Finding]]


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    """Findings of a run of MAE on a CPU that warns as a GPU in torch's debug mode does."""
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", lambda mode: None)
    monkeypatch.setattr(runs, "methods_of", lambda reduced: ["mae"])
    read, step = log.LogHook.read, StepHook.after_train_iter
    save = checkpoints.save_checkpoint

    def wait(times: int) -> None:
        for _ in range(times):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=2)

    def findings(line: int, tensor: int, at: int | None = None) -> list[Finding]:
        """With so many waits per line of the log, per tensor of a checkpoint, and one in a step."""

        def reading(hook: log.LogHook, runner: Any) -> None:
            wait(line if hook._unread else 0)
            read(hook, runner)

        def stepping(hook: StepHook, runner: Any, *rest: Any, **named: Any) -> None:
            wait(runner.iter == at)
            step(hook, runner, *rest, **named)

        def saving(folder: Any, checkpoint: Any, keep: int) -> None:
            path = save(folder, checkpoint, keep)
            wait(tensor * runs._count_tensors(path.parent))

        monkeypatch.setattr(log.LogHook, "read", reading)
        monkeypatch.setattr(StepHook, "after_train_iter", stepping)
        monkeypatch.setattr(checkpoints, "save_checkpoint", saving)
        return list(runs.steps_without_waiting(reduced=True))

    return findings


@pytest.mark.parametrize(
    ("line", "tensor", "at", "reached"),
    [
        (4, 1, 0, [True, True, True]),  # the first steps allocate
        (4, 1, 14, [False, True, True]),  # the first after a checkpoint
        (4, 1, 20, [True, True, True]),  # the last one has a line
        (7, 1, None, [True, False, True]),
        (4, 2, None, [True, True, False]),
    ],
)
def test_waits_are_counted_where_they_are(waiting, line, tensor, at, reached):
    """Of 21 steps in three epochs, with a line of the log every four and at the end."""
    found = waiting(line, tensor, at)
    assert [finding.reached for finding in found] == reached
    idle, most, epochs = (finding.value for finding in found)
    assert (idle == "yes") == (at != 14)
    assert most == line + (at == 20)
    tensors = int(found[2].what.split()[-2])
    # Lines at steps 8 and 16, and at the end of the last epoch; so two epochs have unread terms.
    assert epochs == 3 * tensor * tensors + 2 * line
