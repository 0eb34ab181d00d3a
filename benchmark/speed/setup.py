"""What steps are measured on, and how: a method's own recipe on synthetic angiograms."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from benchmark.checks.contract import prepare
from benchmark.device import device_name, precision, uses_gpu
from benchmark.speed.timing import (
    TimingRow,
    comparison_row,
    machine,
    require_positive,
    show_rows,
    time_in_turn,
)
from benchmark.speed.views import pack_of_pairs, write_png_pairs
from benchmark.training.config import fill_paths, load_config, set_option

EPOCHS = 1000
"""Length of a run that is never finished."""


def hardware() -> str:
    """The GPU that trains here, or the processor of this machine."""
    return device_name() if uses_gpu() else machine()


def synchronise() -> None:
    """Wait until the GPU has done what it was given; a CPU has."""
    if uses_gpu():
        torch.cuda.synchronize()


def make_frames(work: Path, count: int, size: int) -> Path:
    """PNG files with masks, and a pack of the same frames; returns the folder of the files."""
    folder = work / f"frames_{size}"
    write_png_pairs(folder, count, size)
    pack_of_pairs(folder, size)
    return folder


def bench_config(
    method: str,
    configs: Path,
    scale: str,
    batch: int,
    work: Path,
    pack: Path,
    options: Sequence[str] = (),
) -> Config:
    """The recipe of a method, with its whole batch in one part, on the frames of a pack.

    Args:
        method: a folder of `configs` with a `pretrain.py`.
        configs: folder of all configs.
        scale: see `configs/_base_/scales.py`.
        batch: frames per step.
        work: folder for what the method needs beside the frames.
        pack: where the frames are.
        options: ``key.path=value``, applied last.
    """
    config = load_config(configs / method / "pretrain.py", scale)
    fill_paths(config, work)
    threads, interval = torch.get_num_threads(), config.log_interval
    prepare(config, work)
    config.packs = [str(pack)]
    config.update(batch_size=batch, micro_batch=None, epochs=EPOCHS, num_threads=threads)
    config.update(log_interval=interval, checkpoint_interval=EPOCHS)
    if uses_gpu():
        config.num_workers = 4
    for option in options:
        set_option(config, option)
    return config


Steps = Callable[[int], None]
"""Takes so many training steps, and waits until they are done."""


@dataclass(frozen=True)
class StepTiming:
    """How steps are measured.

    Args:
        configs: folder of all configs.
        scale: see `configs/_base_/scales.py`.
        batch: frames per step.
        frames: frames to load from.
        size: height and width of the frames in pixels.
        steps: steps of one timing.
        repeats: timings per side, of which the medians are reported.
        threads: CPU threads; 0 leaves torch's choice.
        out: CSV file or folder, see `benchmark.speed.timing.csv_file`; None: none is written.
        options: ``key.path=value`` of the config, such as ``resident=False``.

    Raises:
        InputError: a number is below 1.
    """

    configs: Path
    scale: str
    batch: int
    frames: int
    size: int
    steps: int
    repeats: int
    threads: int = 0
    out: str | os.PathLike[str] | None = None
    options: Sequence[str] = ()

    def __post_init__(self) -> None:
        names = ("batch", "frames", "size", "steps", "repeats")
        require_positive(**{name: getattr(self, name) for name in names})
        if self.threads:
            torch.set_num_threads(self.threads)

    def config(self, method: str, work: Path, pack: Path) -> Config:
        """`bench_config` of a method for this trial."""
        return bench_config(method, self.configs, self.scale, self.batch, work, pack, self.options)

    def compare(
        self,
        what: str,
        reference: str,
        config: Config,
        sides: tuple[Steps, Steps],
        agreement: Callable[[], np.ndarray] | None = None,
    ) -> TimingRow:
        """Time two sides in turn, after an unmeasured step of each.

        Steps of a single thread are measured in processor time, which others on the machine do not
        change; everything else in wall time.

        Args:
            what: the work.
            reference: what it is compared with.
            config: of the run.
            sides: ours and theirs.
            agreement: looks in the end at how far both agree, see `comparison_row`.
        """
        ours, theirs = sides
        ours(1)
        theirs(1)
        threads, workers = torch.get_num_threads(), config.num_workers
        alone = threads == 1 and not workers and not uses_gpu()
        seconds = time_in_turn(
            lambda: ours(self.steps), lambda: theirs(self.steps), self.repeats, alone
        )
        return comparison_row(
            f"{what}, --scale {self.scale}, batch {self.batch}, frames {self.size}x{self.size}, "
            f"{threads} thread(s), {workers} loader process(es), "
            f"{'processor' if alone else 'wall'} time{''.join(f', {o}' for o in self.options)}",
            reference,
            self.steps * self.batch,
            seconds[:2],
            None if agreement is None else agreement(),
            precision(config.precision),
            hardware(),
        )

    def show(self, rows: Sequence[TimingRow], part: str) -> None:
        """Print the rows and write them where `out` says."""
        part = "-".join([part, self.scale, *self.options])
        show_rows(rows, self.out, part, torch.get_num_threads())
