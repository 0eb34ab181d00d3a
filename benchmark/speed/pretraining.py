"""The cost of a training step: every method against MAE, in one run."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmark.device import device
from benchmark.errors import InputError
from benchmark.files import list_folder
from benchmark.method import Progress
from benchmark.speed.loops import first_batch, synchronise
from benchmark.speed.steps import StepTiming, hardware
from benchmark.speed.timing import write_rows
from benchmark.training.accumulation import training_step
from benchmark.training.train import assemble

REFERENCE = "mae"
SHOWN = 6
"""Columns on the screen; the others say under which conditions."""


def peak_allocation(work: Callable[[], object], device: torch.device) -> int:
    """Peak memory of the tensors that `work` allocates on a device, in bytes.

    On a CPU, scratch memory that libraries such as oneDNN allocate is not counted, nor is freeing
    a tensor that existed before.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with _silenced_stderr():
        settings = dict(profile_memory=True, acc_events=True)
        with profile(activities=[ProfilerActivity.CPU], **settings) as record:
            work()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    ordered = sorted(events, key=lambda event: event.start_ns())
    return max(itertools.accumulate((event.nbytes() for event in ordered), initial=0))


@contextlib.contextmanager
def _silenced_stderr() -> Iterator[None]:
    """Drop what torch's profiler prints from C++; exceptions pass.

    It warns about missing GPUs and about the first tensor whose allocation it did not see.
    """
    sys.stderr.flush()
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


class TimedStep:
    """Training steps of one method on one batch, timed.

    Args:
        config: one part per step, so that all methods hold the complete batch at once.
        trial: steps per timing, and the clock.

    Attributes:
        times: seconds per step of each timing.
        peak: memory of a step in MiB, once warmed up.
    """

    def __init__(self, config: Config, trial: StepTiming) -> None:
        self.config = config
        self.trial = trial
        parts = assemble(config)
        self.packs = parts.packs
        self.method = parts.method.to(device()).train()
        self.optimizer = parts.optimizer
        self.optimizer.initialize_count_status(self.method, 0, 1)
        # In the middle of a run: past warm-up and initially frozen layers.
        self.progress = Progress(config.seed, config.epochs // 2, config.epochs, 1, 2)
        self.batch = first_batch(parts)
        self.times: list[float] = []
        self.peak = 0.0
        self.clock = time.process_time if trial.by_processor_time else time.perf_counter

    def __call__(self) -> None:
        """Take the steps of a timing, and note the time of one.

        As in training, the host may run ahead of a GPU: it waits only before the first and after
        the last step.
        """
        synchronise()
        start = self.clock()
        for _ in range(self.trial.steps):
            self.take()
        synchronise()
        self.times.append((self.clock() - start) / self.trial.steps)

    def warm_up(self) -> None:
        """Take a step, which fills the optimiser's state, and note the memory of the next one."""
        self.take()
        held = {
            tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
            for tensor in self._tensors()
            if tensor.device.type == device().type
        }
        self.peak = (sum(held.values()) + peak_allocation(self.take, device())) / 2**20

    def take(self) -> None:
        """Take a step, without waiting for its end."""
        self.method.progress = self.progress
        training_step(self.method, self.batch, self.optimizer)
        self.method.after_step(self.progress)

    def _tensors(self) -> Iterator[Tensor]:
        """Tensors held before a step: parameters, buffers, gradients, moments and the batch."""
        parameters = list(self.method.parameters())
        yield from parameters
        yield from (parameter.grad for parameter in parameters if parameter.grad is not None)
        yield from self.method.buffers()
        for values in (self.batch, *self.optimizer.optimizer.state.values()):
            yield from (value for value in values.values() if isinstance(value, Tensor))

    def row(self, name: str, ratio: float) -> dict[str, str]:
        """A line of the table; `ratio` to the time of MAE."""
        seconds = median(self.times)
        trained = sum(p.numel() for p in self.method.parameters() if p.requires_grad)
        return {
            "method": name,
            "step_ms": f"{1000 * seconds:.1f}",
            "relative_to_mae": f"{ratio:.2f}",
            "images_per_s": f"{self.trial.batch / seconds:.1f}",
            "parameters_m": f"{trained / 1e6:.2f}",
            "peak_memory_mb": f"{self.peak:.0f}",
            **self.trial.conditions(self.config),
        }


def bench_pretrain(
    methods: Sequence[str], trial: StepTiming, mae_options: Sequence[str] = ()
) -> list[dict[str, str]]:
    """Time the training step of methods in turn with MAE's.

    Every repeat is ``trial.steps`` steps of MAE and as many of the method, one after the other, so
    that other load on the machine slows both. Times are medians, and so is the ratio: that of the
    pairs, whose ratios drift less than the times do.

    Args:
        trial: sizes and numbers; its frames are one batch.
        mae_options: settings of the reference MAE, such as ``method.masking.ratio=0.5`` to mask as
            many patches as VasoMIM.

    Raises:
        InputError: there is no such method.
    """
    known = [p.name for p in list_folder(trial.configs) if (p / "pretrain.py").is_file()]
    unknown = sorted(set(methods) - set(known))
    if unknown:
        names = ", ".join(known)
        raise InputError(f"{unknown[0]}: no such method in {trial.configs}; known: {names}")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        pack = trial.make_frames(work) / "pack"

        def make(method: str, options: Sequence[str] = ()) -> TimedStep:
            config = trial.config(method, work, pack, options)
            config.update(epochs=10, num_workers=0)
            return TimedStep(config, trial)

        reference = make(REFERENCE, mae_options)
        rows = []
        for name in methods or known:
            if name == REFERENCE:
                continue
            step = make(name)
            for one in (reference, step):
                one.warm_up()
            for _ in range(trial.repeats):
                reference()
                step()
            pairs = zip(step.times, reference.times[-trial.repeats :], strict=True)
            ratio = median(ours / theirs for ours, theirs in pairs)
            rows.append(step.row(name, ratio))
        rows.insert(0, reference.row(REFERENCE, 1.0))
    shown = list(rows[0])[:SHOWN]
    table = Table(*shown, title=f"batch {trial.batch}, {hardware()}", box=None)
    for row in rows:
        table.add_row(*(row[column] for column in shown))
    Console(width=110).print(table)
    write_rows(rows, trial.out, f"pretrain-{trial.scale}", torch.get_num_threads())
    return rows
