"""What the systems of the benchmark cost: parameters, FLOPs, and speed where it was measured.

Parameters and FLOPs are counted by `benchmark.speed.costs`, which needs torch, and kept in
``configs/costs.csv``. Speed comes from the tables of ``tools/bench.py pretrain`` in
``docs/benchmarks``. Reading both does not import torch.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmark.errors import InputError
from benchmark.files import atomic_write, list_folder
from benchmark.method_cards import ANALYSIS, CONFIGS, read_method_cards

_COSTS = "costs.csv"
_MEASURED = Path("docs", "benchmarks")
_Row = TypeVar("_Row")


class MeasuredSpeed(NamedTuple):
    """A training step of a method on a device, from a table of ``tools/bench.py pretrain``."""

    images_per_s: float
    relative_to_mae: float  # time of a step divided by that of MAE in the same run
    mae_options: str  # settings of that MAE, ``method.masking.ratio=0.5``; empty for its recipe
    peak_memory_mb: float  # MiB of weights, gradients, moments and activations during a step
    scale: str  # ``paper`` or ``small``
    batch: int  # frames per step
    device: str  # name of the GPU, or of the processor with ``, CPU``
    threads: int  # CPU threads
    precision: str  # ``fp32`` or ``bf16``

    @property
    def conditions(self) -> str:
        """What it was measured on and against, on one line."""
        threads = f" ({self.threads} thread{'s' * (self.threads > 1)})"
        parts = [f"{self.device}{threads if self._on_cpu else ''}", f"scale {self.scale}"]
        parts += [f"batch {self.batch}", self.precision]
        return ", ".join(parts + ([f"MAE with {self.mae_options}"] if self.mae_options else []))

    @property
    def _on_cpu(self) -> bool:
        return self.device.endswith("CPU")

    @property
    def comparable(self) -> tuple[bool, ...]:
        """Sorts measurements: against MAE's own recipe, on a GPU and at paper scale first."""
        return (bool(self.mae_options), self._on_cpu, self.scale != "paper")


class MethodCosts(NamedTuple):
    """Costs of one system at paper scale; None where there is nothing of the kind.

    FLOPs are those of a forward pass in floating-point operations, two for a multiplication with
    its addition: convolutions, linear layers and the two matrix products of attention. Norms,
    activations, softmax, resizing, FFTs and recurrent scans are not counted.
    """

    # Parameters of the exported encoder, or of the complete network if all of it is trained from
    # scratch; its position table counts.
    network: int | None = None
    trained: int | None = None  # parameters the pre-training trains
    # Parameters in memory while pre-training: the trained ones, frozen networks (segmentor,
    # released teacher, VGG-16) and EMA teachers, but no fixed position tables of what is trained.
    total: int | None = None
    network_flops: int | None = None  # of `network` for one 224×224 image
    # Per frame, of the loss with everything it computes: decoder, segmentor, teachers, all views.
    step_flops: int | None = None
    # The same by the papers' rules: no attention products, 8 for each value of a LayerNorm.
    layer_flops: int | None = None
    # `layer_flops` with 75 % of the patches masked, as both papers count whatever the ratio in
    # training; only for methods with their maskings, random and anatomy-guided.
    papers_flops: int | None = None
    measured: tuple[MeasuredSpeed, ...] = ()  # most comparable first


_COUNTED = MethodCosts._fields[:-1]


def _read_table(
    path: Path, what: str, parse: Callable[[dict[str, str]], _Row]
) -> Iterator[tuple[str, _Row]]:
    """The method and what its row says, of every row of a CSV file of this kind.

    Raises:
        InputError: it is another file.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                yield row["method"], parse(row)
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a table of {what} ({error!r})") from None


def methods_with_costs(configs: Path = CONFIGS) -> list[str]:
    """Ids of all methods, then of all runs of ``configs/analysis`` (``analysis-NAME``)."""
    folder = configs / "analysis"
    analyses = list_folder(folder, "[!_]*.py") if folder.is_dir() else []
    methods = [card.method for card in read_method_cards(configs)]
    return methods + [ANALYSIS + path.stem for path in analyses]


def read_costs(configs: Path = CONFIGS) -> dict[str, MethodCosts]:
    """What `write_costs` wrote, with the speeds measured beside it, by the id of the method.

    Args:
        configs: folder of all configs; speeds are looked for in ``../docs/benchmarks``.

    Returns:
        Methods without a row in either are missing; empty where there is no file at all.

    Raises:
        InputError: a file holds something else.
    """
    measured = read_measured_speeds(configs.parent / _MEASURED)
    path = configs / _COSTS
    counted = dict(_read_table(path, "costs", _counted)) if path.is_file() else {}
    return {
        method: counted.get(method, MethodCosts())._replace(measured=measured.get(method, ()))
        for method in (*counted, *(method for method in measured if method not in counted))
    }


def _counted(row: dict[str, str]) -> MethodCosts:
    # Tables of earlier versions lack the last column.
    counts = {_COUNTED[-1]: ""} | row
    return MethodCosts(*(int(counts[key]) if counts[key] else None for key in _COUNTED))


def write_costs(costs: Mapping[str, MethodCosts], configs: Path = CONFIGS) -> Path:
    """Write counts beside the configs, without speeds: counting needs torch, listing must not."""
    path = configs / _COSTS
    with atomic_write(path, "w") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("method", *_COUNTED))
        for method in sorted(costs):
            writer.writerow((method, *costs[method][: len(_COUNTED)]))
    return path


def read_measured_speeds(folder: Path) -> dict[str, tuple[MeasuredSpeed, ...]]:
    """The rows of all tables ``pretrain-*.csv`` in a folder by method, most comparable first.

    Raises:
        InputError: such a file holds something else.
    """
    found: dict[str, list[MeasuredSpeed]] = {}
    for path in list_folder(folder, "pretrain-*.csv") if folder.is_dir() else []:
        for method, speed in _read_table(path, "speeds", _measured):
            found.setdefault(method, []).append(speed)
    return {
        method: tuple(sorted(rows, key=lambda row: row.comparable))
        for method, rows in found.items()
    }


def _measured(row: Mapping[str, str]) -> MeasuredSpeed:
    words = (row["command"] or "").split()
    options = words[words.index("--mae-options") + 1 :] if "--mae-options" in words else []
    end = next((n for n, word in enumerate(options) if word.startswith("-")), len(options))
    return MeasuredSpeed(
        images_per_s=float(row["images_per_s"]),
        relative_to_mae=float(row["relative_to_mae"]),
        mae_options=" ".join(options[:end]),
        peak_memory_mb=float(row["peak_memory_mb"]),
        scale=row["scale"],
        batch=int(row["batch"]),
        device=row["device"],
        threads=int(row["threads"]),
        precision=row["precision"],
    )
