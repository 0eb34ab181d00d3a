"""Ways of taking the same training steps, to be timed in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop
from mmengine.runner import Runner as MMEngineRunner
from torch import Tensor, nn

from benchmark.device import device, precision, uses_gpu
from benchmark.method import Progress
from benchmark.openmmlab.quiet import LibraryState, quiet_libraries
from benchmark.registry import build
from benchmark.training.runner import Runner, count_epoch
from benchmark.training.train import TrainingParts, assemble

EPOCHS = 1000
"""Length of a run that is never finished."""

Batch = dict[str, Tensor]
Steps = Callable[[int], None]
"""Takes this many training steps, and waits until they are done."""


def synchronise() -> None:
    """Wait until the GPU has finished; does nothing on a CPU."""
    if uses_gpu():
        torch.cuda.synchronize()


def first_batch(parts: TrainingParts) -> Batch:
    """The first batch of a run, on the device of the model."""
    parts.loader.batch_sampler.set_epoch(0)
    return {name: value.to(device()) for name, value in next(iter(parts.loader)).items()}


class PreparedLoop(EpochBasedTrainLoop):
    """mmengine's loop, which `Runner.train` only prepares; its steps are taken one by one."""

    def run(self) -> nn.Module:
        self.runner.call_hook("before_train")
        return self.runner.model


class RunnerSteps:
    """Training steps of a Runner with all its hooks, the log included.

    Args:
        runner: with its loop made, and the hooks before training called.
        libraries: what mmengine keeps for the runner.
        batch: used for every step instead of loaded ones; None: load.
    """

    def __init__(
        self, runner: MMEngineRunner, libraries: LibraryState, batch: Batch | None = None
    ) -> None:
        self.runner = runner
        self.libraries = libraries
        self.loop = runner.train_loop
        self.batches = self._load() if batch is None else repeat(batch)

    def _load(self) -> Iterator[Any]:
        while True:
            self.runner.call_hook("before_train_epoch")
            self.runner.model.train()
            yield from self.loop.dataloader
            count_epoch(self.loop)

    def __call__(self, steps: int) -> None:
        """Take steps, and wait until they are done."""
        # Printing log lines is part of the work, but they are not shown.
        with quiet_libraries(), self.libraries:
            for step in range(steps):
                self.loop.run_iter(step, next(self.batches))
        synchronise()


def of_harness(runner: Runner, folder: Path, batch: Batch | None = None) -> RunnerSteps:
    """Steps as `tools/train.py` and `tools/finetune.py` take them; the log goes to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with runner.libraries:
        runner.prepare()
        runner.call_hook("before_train")
    return RunnerSteps(runner, runner.libraries, batch)


def of_library(make: Callable[[], MMEngineRunner]) -> RunnerSteps:
    """Steps of mmengine's own Runner, whose config has `PreparedLoop` for its loop."""
    libraries = LibraryState()
    with quiet_libraries(), libraries:
        runner = make()
        runner.model.to(device())  # it takes a GPU where there is one
        runner.train()
    return RunnerSteps(runner, libraries)


class BareLoop:
    """The same steps in a loop written by hand: no Runner, no hooks, no log.

    Args:
        config: of the run, whose first batch is used for every step.
    """

    def __init__(self, config: Config) -> None:
        parts = assemble(config)
        self.config = config
        self.batch = first_batch(parts)
        self.method = parts.method.to(device()).train()
        self.optimizer = parts.optimizer.optimizer
        self.clipping = parts.optimizer.clip_grad_kwargs
        self.schedule = build(config.schedule, epochs=config.epochs)
        self.steps_per_epoch = len(parts.loader)
        self.step = 0

    def __call__(self, steps: int) -> None:
        """Take steps, and wait until they are done."""
        method, config = self.method, self.config
        trained = [p for p in method.parameters() if p.requires_grad]
        bf16 = precision(config.precision) == "bf16"
        for _ in range(steps):
            progress = Progress(config.seed, 0, config.epochs, self.step, self.steps_per_epoch)
            method.progress = progress
            rate = self.schedule(self.step / self.steps_per_epoch)
            for group in self.optimizer.param_groups:
                group["lr"] = group["peak_lr"] * rate
            with torch.autocast(device().type, torch.bfloat16, enabled=bf16):
                terms = method(**method.views(self.batch))
            loss = sum(value for name, value in terms.items() if "loss" in name)
            loss.backward()
            if self.clipping:
                torch.nn.utils.clip_grad_norm_(trained, **self.clipping)
            self.optimizer.step()
            self.optimizer.zero_grad()
            method.after_step(progress)
            self.step += 1
        synchronise()
