"""What the model of scaling starts from: ``configs/scaling.csv``, each number with its origin."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

from benchmark.errors import InputError

ORIGINS = ("measured", "published", "project", "assumed")
_TABLE = "scaling.csv"
_BENCHMARKS = Path("docs", "benchmarks")
_UNITS = {"GB": 1e9, "GB/s": 1e9, "TFLOP/s": 1e12, "MiB": 2**20}


class Input(NamedTuple):
    """A row of the table."""

    name: str
    value: float  # in `unit`
    unit: str
    origin: str  # one of `ORIGINS`
    source: str  # where it comes from, and why it is what it is


@dataclass(frozen=True)
class Inputs:
    """The numbers of all rows, in frames, bytes, seconds, FLOPs and their quotients."""

    loader: float  # frames/s that one core reads
    host_crops: float  # frames/s that one core reads and crops
    packing: float  # frames/s of packs that one core builds
    anatomy: float  # frames/s of vessel masks that one core extracts
    # The published run of VasoMIM.
    run_hours: float
    run_gpus: float
    run_epochs: float
    run_frames: float
    peak: float  # FLOP/s of its card
    faster: float  # FLOP/s that a faster card sustains
    bucket: float  # bytes of gradients that DDP reduces at once
    requests: float  # reads per second and prefix of an object store
    workers: float  # loader processes of a GPU
    side: float  # of a frame in pixels
    index: float  # bytes per row
    packing_memory: float  # bytes per frame
    backward: float  # cost of a backward pass, in forward passes
    node_gpus: float
    # Bytes per second: of a card in a node, of a node, to a card, of a node's disks, to a node.
    nvlink: float
    network: float
    pcie: float
    disk: float
    object_store: float
    node_memory: float  # bytes
    shard: float  # bytes
    cores: float

    @property
    def frame_bytes(self) -> float:
        """Bytes of a frame and its vessel mask, which has one bit per pixel."""
        return self.side**2 * (1 + 1 / 8)

    @property
    def run_rate(self) -> float:
        """Frames per second and GPU of the published run."""
        frames = self.run_frames * self.run_epochs
        return frames / (self.run_hours * 3600) / self.run_gpus


def read_inputs(configs: Path) -> tuple[Inputs, list[Input]]:
    """The table beside the configs, with the measured numbers from ``../docs/benchmarks``.

    Raises:
        InputError: a file or a row is missing or damaged.
    """
    table = configs / _TABLE
    rows = []
    for row in _read(table):
        try:
            rows.append(_input(row, configs.parent / _BENCHMARKS))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{table}: not a table of inputs ({error!r})") from None
    names, known = [row.name for row in rows], [field.name for field in fields(Inputs)]
    if sorted(names) != sorted(known):
        wrong = set(names) ^ set(known) | {name for name in names if names.count(name) > 1}
        raise InputError(f"{table}: missing, unknown or twice: {', '.join(sorted(wrong))}")
    return Inputs(**{row.name: row.value * _UNITS.get(row.unit, 1) for row in rows}), rows


def _input(row: dict[str, str], benchmarks: Path) -> Input:
    name, unit, origin = row["name"], row["unit"], row["origin"]
    if origin not in ORIGINS:
        raise ValueError(f"{name}: origin {origin!r}")
    if origin != "measured":
        value, source = float(row["value"]), row["reason"]
    else:
        value = _measured(benchmarks / row["file"], row["row"], row["column"])
        source = f"{row['reason']} (`{row['file']}`)"
    if not 0 < value < float("inf"):
        raise ValueError(f"{name}: {value}")
    return Input(name, value, unit, origin, source)


def _measured(file: Path, what: str, column: str) -> float:
    """A number from the row about `what` in a committed measurement."""
    found = [row for row in _read(file) if row.get("what") == what]
    if len(found) != 1:
        raise InputError(f"{file}: {len(found)} rows are about {what!r}, not one")
    return float(found[0][column])


def _read(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        raise InputError(f"{file}: no such file; the model needs a clone of the project")
    with file.open(encoding="utf-8", newline="") as stream:
        try:
            return list(csv.DictReader(stream))
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{file}: not a table ({error!r})") from None
