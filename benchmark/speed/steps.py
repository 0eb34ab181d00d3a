"""Training steps on synthetic angiograms: what is measured, how, and the cost of the harness."""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from benchmark.checks.contract import prepare
from benchmark.device import device_name, precision, uses_gpu
from benchmark.speed.frames import pack_of_pairs, write_png_pairs
from benchmark.speed.loops import EPOCHS, BareLoop, Steps, first_batch, of_harness
from benchmark.speed.timing import TimingRow, command_line, compare, machine, show_rows
from benchmark.training.config import fill_paths, load_config, set_option
from benchmark.training.train import assemble, make_run, make_runner


def hardware() -> str:
    """The GPU that trains here, or the processor of this machine."""
    return device_name() if uses_gpu() else machine()


@dataclass(frozen=True)
class StepTiming:
    """How steps are measured."""

    configs: Path  # folder of all configs
    scale: str  # see `configs/_base_/scales.py`
    batch: int  # frames per step
    repeats: int  # timings per side, of which the medians are reported
    frames: int = 64  # frames to load from
    size: int = 256  # height and width of the frames in pixels
    steps: int = 1  # steps of one timing; a GPU is waited for only after them
    threads: int = 0  # CPU threads; 0 leaves torch's choice
    # CSV file or folder, see `benchmark.speed.timing.csv_file`; None: none is written.
    out: str | os.PathLike[str] | None = None
    options: Sequence[str] = ()  # ``key.path=value`` of the config, such as ``resident=False``

    def __post_init__(self) -> None:
        if self.threads:
            torch.set_num_threads(self.threads)

    def make_frames(self, work: Path) -> Path:
        """A folder with PNG files, their masks, and a ``pack`` of the same frames."""
        folder = work / "frames"
        write_png_pairs(folder, self.frames, self.size)
        pack_of_pairs(folder, self.size)
        return folder

    def config(self, method: str, work: Path, pack: Path, options: Sequence[str] = ()) -> Config:
        """The recipe of a method, with its complete batch in one part, on the frames of a pack."""
        config = load_config(self.configs / method / "pretrain.py", self.scale)
        fill_paths(config, work)
        interval = config.log_interval
        prepare(config, work)
        config.packs = [str(pack)]
        config.update(
            batch_size=self.batch,
            micro_batch=None,
            epochs=EPOCHS,
            num_threads=torch.get_num_threads(),
            log_interval=interval,
            checkpoint_interval=EPOCHS,
        )
        if uses_gpu():
            config.num_workers = 4
        for option in (*self.options, *options):
            set_option(config, option)
        return config

    @property
    def by_processor_time(self) -> bool:
        """Whether processor time is measured, which other load does not change: on one thread."""
        return torch.get_num_threads() == 1 and not uses_gpu()

    def compare(
        self,
        what: str,
        reference: str,
        config: Config,
        sides: tuple[Steps, Steps],
        agreement: Callable[[], np.ndarray | None] = lambda: None,
    ) -> TimingRow:
        """Time two sides in turn, in processor time if one process does everything.

        Args:
            agreement: measures in the end how far both agree, see `timing.compare`.
        """
        ours, theirs = sides
        threads, workers = torch.get_num_threads(), config.num_workers
        alone = self.by_processor_time and not workers
        return compare(
            f"{what}, --scale {self.scale}, batch {self.batch}, frames {self.size}x{self.size}, "
            f"{threads} thread(s), {workers} loader process(es), "
            f"{'processor' if alone else 'wall'} time{''.join(f', {o}' for o in self.options)}",
            reference,
            (lambda: ours(self.steps), lambda: theirs(self.steps)),
            self.steps * self.batch,
            self.repeats,
            lambda *_: agreement(),
            precision(config.precision),
            hardware(),
            alone,
        )

    def conditions(self, config: Config) -> dict[str, str]:
        """The columns of a row that say how the steps of a config were measured."""
        return {
            "scale": self.scale,
            "batch": str(self.batch),
            "device": hardware(),
            "threads": str(torch.get_num_threads()),
            "precision": precision(config.precision),
            "torch": importlib.metadata.version("torch"),
            "command": command_line(),
        }

    def show(self, rows: Sequence[TimingRow], part: str) -> None:
        """Print the rows and write them where `out` says."""
        part = "-".join([part, self.scale, *self.options])
        show_rows(rows, self.out, part, torch.get_num_threads())


def equal_weights(one: nn.Module, two: nn.Module) -> np.ndarray:
    """Share of equal values in each tensor of two models."""
    states = one.state_dict(), two.state_dict()
    return np.array(
        [float((value == states[1][key]).float().mean()) for key, value in states[0].items()]
    )


def bench_step(method: str, trial: StepTiming) -> list[TimingRow]:
    """Time training steps in turn, print and return the rows.

    The first row compares the harness with a bare loop, both on one loaded batch; both start from
    the same weights and take the same steps, and the row says how many of the values agree in the
    end. The second compares the harness with loading its batches and without.

    Raises:
        InputError: no such method, or options that do not fit.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        config = trial.config(method, work, trial.make_frames(work) / "pack")
        bare = BareLoop(config)
        parts, again = assemble(config), assemble(config)
        runner = make_runner(parts, make_run(parts, work / "harness", "bench"))
        harness = of_harness(runner, work / "harness", first_batch(parts))
        other = make_runner(again, make_run(again, work / "loading", "bench"))
        loading = of_harness(other, work / "loading")
        rows = [
            trial.compare(
                f"harness step of {method}",
                f"the same step, loop written by hand, torch {torch.__version__}",
                config,
                (harness, bare),
                lambda: equal_weights(parts.method, bare.method),
            ),
            trial.compare(
                f"harness step of {method} with loading",
                "the same step of the harness, batch at hand",
                config,
                (loading, harness),
            ),
        ]
    trial.show(rows, f"step-{method}")
    return rows
