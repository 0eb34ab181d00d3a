"""Two ways of doing the same work, timed in turn, and the row that says how they compare."""

from __future__ import annotations

import csv
import importlib.metadata
import os
import platform
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np

from benchmark.errors import InputError
from benchmark.files import atomic_write

COLUMNS = (
    "what",
    "reference",
    "ours_per_s",
    "reference_per_s",
    "ratio",
    "agreement_mean",
    "agreement_min",
    "machine",
    "torch",
    "precision",
    "command",
)

TimingRow = dict[str, str]
Ours = TypeVar("Ours")
Reference = TypeVar("Reference")


def require_positive(**numbers: int) -> None:
    """Refuse numbers below 1, which are options of the command line by their names."""
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f"--{name} {number}: expected 1 or more")


def time_in_turn(
    ours: Callable[[], Ours],
    reference: Callable[[], Reference],
    repeats: int,
    processor_time: bool = False,
) -> tuple[float, float, Ours, Reference]:
    """Median seconds of both sides and their last results.

    The two alternate within every repeat, so that a machine that is slowed down by others slows
    both.

    Args:
        ours, reference: do the work once and return something.
        repeats: how often each is called.
        processor_time: count what this process has of the CPU, which others do not change; only
            for work of a single thread that waits for nothing.
    """
    clock = time.process_time if processor_time else time.perf_counter
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        start = clock()
        our_result = ours()
        middle = clock()
        their_result = reference()
        times[0].append(middle - start)
        times[1].append(clock() - middle)
    return median(times[0]), median(times[1]), our_result, their_result


def comparison_row(
    what: str,
    reference: str,
    count: int,
    seconds: tuple[float, float],
    agreement: np.ndarray | None,
    precision: str,
    device: str | None = None,
) -> TimingRow:
    """One row of `COLUMNS`.

    Args:
        what: the work, with its size and the cores it had.
        reference: what it is compared with, with versions.
        count: items both sides went through.
        seconds: ours, theirs.
        agreement: share of equal values of each item, in [0, 1]; None where the two draw other
            random numbers.
        precision: number format of the work.
        device: where it was done; None for the CPU of this machine.
    """
    ours, theirs = (count / duration for duration in seconds)
    return {
        "what": what,
        "reference": reference,
        "ours_per_s": f"{ours:.2f}",
        "reference_per_s": f"{theirs:.2f}",
        "ratio": f"{ours / theirs:.2f}",
        "agreement_mean": "" if agreement is None else f"{agreement.mean():.6f}",
        "agreement_min": "" if agreement is None else f"{agreement.min():.6f}",
        "machine": device or machine(),
        "torch": importlib.metadata.version("torch"),
        "precision": precision,
        "command": shlex.join(["tools/bench.py", *sys.argv[1:]]),
    }


def machine() -> str:
    """Model of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, CPU"


def show_rows(
    rows: Sequence[TimingRow],
    out: str | os.PathLike[str] | None,
    part: str = "bench",
    threads: int = 1,
) -> None:
    """Print the rows, one below the other, and write them as CSV to `out` if it is given.

    Args:
        rows: of `COLUMNS`.
        out: a file; or a folder, see `csv_file`.
        part: what was measured.
        threads: threads of the CPU that did it.
    """
    width = max(map(len, COLUMNS))
    for row in rows:
        for column in COLUMNS:
            print(f"{column:<{width}}  {row[column]}")
        print()
    if out is not None:
        write_rows(rows, COLUMNS, csv_file(out, part, rows[0], threads))


def csv_file(out: str | os.PathLike[str], part: str, row: TimingRow, threads: int) -> Path:
    """Where rows go: `out`, or if that is a folder a file in it that is named after the rows.

    The name says what was measured, on which machine, with which torch and in which precision, as
    in ``step-nvidia-h200-torch2.11.0-bf16.csv`` or ``step-cpu-2core-torch2.11.0-fp32.csv``.
    """
    if not Path(out).is_dir():
        return Path(out)
    device = row["machine"]
    if device.endswith("CPU"):
        device = f"cpu-{threads}core"
    part, device = (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in (part, device))
    return Path(out) / f"{part}-{device}-torch{row['torch']}-{row['precision']}.csv"


def write_rows(rows: Sequence[TimingRow], columns: Sequence[str], file: Path) -> None:
    """Write rows as CSV, whole or not at all."""
    with atomic_write(file, "w") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
