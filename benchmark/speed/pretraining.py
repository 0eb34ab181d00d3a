"""The cost of a training step: every method against MAE, in one run."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmark.anatomy.pack import extract
from benchmark.data.packs import build_pack
from benchmark.data.sources import open_source
from benchmark.device import device, precision
from benchmark.errors import InputError
from benchmark.files import list_folder
from benchmark.method import Progress
from benchmark.speed.memory import peak_allocation
from benchmark.speed.setup import bench_config, hardware
from benchmark.speed.timing import csv_file, require_positive, write_rows
from benchmark.training.accumulation import training_step
from benchmark.training.train import assemble

REFERENCE = "mae"
COLUMNS = (
    "method",
    "step_ms",
    "relative_to_mae",
    "images_per_s",
    "parameters_m",
    "peak_memory_mb",
    "scale",
    "batch",
    "device",
    "threads",
    "precision",
    "torch",
    "command",
)
_FRAME_SIDE = 256


class _Step:
    """Training steps of one method on one batch, timed.

    Args:
        config: one part per step, so that all methods hold the whole batch at once.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        parts = assemble(config)
        self.device = device()
        self.method = parts.method.to(self.device).train()
        self.optimizer = parts.optimizer
        self.optimizer.initialize_count_status(self.method, 0, 1)
        # Somewhere in the middle of a run: schedules have begun, nothing is frozen for a start.
        self.progress = Progress(config.seed, config.epochs // 2, config.epochs, 1, 2)
        parts.loader.batch_sampler.set_epoch(0)
        self.batch = next(iter(parts.loader))
        self.parameters = sum(p.numel() for p in self.method.parameters() if p.requires_grad)
        self.times: list[float] = []
        self.peak = 0.0
        # Of a single thread, the time that others have of the CPU does not count.
        alone = self.device.type == "cpu" and torch.get_num_threads() == 1
        self.clock = time.process_time if alone else time.perf_counter

    def __call__(self) -> None:
        """Take a step and note its time."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        start = self.clock()
        self._take()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        self.times.append(self.clock() - start)

    def warm_up(self) -> None:
        """Take a step, which fills the optimiser's state, and note the memory of the next one."""
        self._take()
        held = {
            tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
            for tensor in self._tensors()
            if tensor.device.type == self.device.type
        }
        self.peak = (sum(held.values()) + peak_allocation(self._take, self.device)) / 2**20

    def _take(self) -> None:
        self.method.progress = self.progress
        training_step(self.method, self.batch, self.optimizer)
        self.method.after_step(self.progress)

    def _tensors(self) -> Iterator[Tensor]:
        """What a step finds: parameters, buffers, gradients, moments and the batch."""
        for parameter in self.method.parameters():
            yield parameter
            if parameter.grad is not None:
                yield parameter.grad
        yield from self.method.buffers()
        for state in self.optimizer.optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))
        yield from (value for value in self.batch.values() if isinstance(value, Tensor))


def bench_pretrain(
    methods: Sequence[str],
    configs: Path,
    scale: str,
    batch: int,
    repeats: int,
    threads: int,
    out: str | os.PathLike[str] | None = None,
    mae_options: Sequence[str] = (),
    options: Sequence[str] = (),
) -> list[dict[str, str]]:
    """Time the training step of methods in turn with MAE's.

    Every repeat is one step of MAE and one of the method, one after the other, so that a machine
    that is slowed down by others slows both. Times are medians, and so is the ratio: of those of
    the pairs, which drift less than the times do.

    Args:
        methods: folders of `configs` with a `pretrain.py`; none for all.
        configs: folder of all configs.
        scale: see `configs/_base_/scales.py`.
        batch: frames per step, the same for all.
        repeats: timed steps of each.
        threads: CPU threads; 0 leaves torch's choice.
        out: CSV file or folder, see `benchmark.speed.timing.csv_file`; None: none is written.
        mae_options: settings of the MAE that is compared with, ``method.masking.ratio=0.5`` for
            one that sees as many patches as VasoMIM.
        options: settings of all methods, ``compile=True`` for one.

    Raises:
        InputError: there is no such method, or a number below 1.
    """
    require_positive(batch=batch, repeats=repeats)
    if threads:
        torch.set_num_threads(threads)
    known = [p.name for p in list_folder(configs) if (p / "pretrain.py").is_file()]
    unknown = sorted(set(methods) - set(known))
    if unknown:
        raise InputError(f"{unknown[0]}: no such method in {configs}; known: {', '.join(known)}")
    chosen = [name for name in methods or known if name != REFERENCE]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        reference = _Step(_config(REFERENCE, configs, scale, batch, work, [*options, *mae_options]))
        for name in chosen:
            step = _Step(_config(name, configs, scale, batch, work, options))
            for one in (reference, step):
                one.warm_up()
            before = len(reference.times)
            for _ in range(repeats):
                reference()
                step()
            pairs = zip(step.times, reference.times[before:], strict=True)
            ratio = median(ours / theirs for ours, theirs in pairs)
            rows.append(_row(name, step, ratio, scale, batch))
        rows.insert(0, _row(REFERENCE, reference, 1.0, scale, batch))
    _show(rows)
    if out is not None:
        named = {**rows[0], "machine": rows[0]["device"]}
        write_rows(
            rows, COLUMNS, csv_file(out, f"pretrain-{scale}", named, torch.get_num_threads())
        )
    return rows


def _config(
    method: str, configs: Path, scale: str, batch: int, work: Path, options: Sequence[str] = ()
) -> Config:
    """A method's recipe on as many synthetic frames as a batch has."""
    pack = work / "packs" / f"bench_{batch}"
    if not pack.exists():
        drawn = dict(patients="1", videos="1", frames=str(batch), size=str(_FRAME_SIDE))
        source = open_source("synthetic", **drawn, test_fraction="0")
        build_pack(source, pack, size=_FRAME_SIDE, progress=False)
        extract(str(pack))
    config = bench_config(method, configs, scale, batch, work, pack, options)
    config.update(epochs=10, num_workers=0)
    return config


def _row(name: str, step: _Step, ratio: float, scale: str, batch: int) -> dict[str, str]:
    seconds = median(step.times)
    return {
        "method": name,
        "step_ms": f"{1000 * seconds:.1f}",
        "relative_to_mae": f"{ratio:.2f}",
        "images_per_s": f"{batch / seconds:.1f}",
        "parameters_m": f"{step.parameters / 1e6:.2f}",
        "peak_memory_mb": f"{step.peak:.0f}",
        "scale": scale,
        "batch": str(batch),
        "device": hardware(),
        "threads": str(torch.get_num_threads()),
        "precision": precision(step.config.precision),
        "torch": importlib.metadata.version("torch"),
        "command": shlex.join(["tools/bench.py", *sys.argv[1:]]),
    }


def _show(rows: Sequence[dict[str, str]]) -> None:
    shown = COLUMNS[:6]
    table = Table(*shown, title=f"batch {rows[0]['batch']}, {rows[0]['device']}", box=None)
    for row in rows:
        table.add_row(*(row[column] for column in shown))
    Console(width=110).print(table)
