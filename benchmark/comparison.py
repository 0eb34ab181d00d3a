"""Two ways of doing the same work, timed in turn, and the row that says how they compare."""

from __future__ import annotations

import csv
import importlib.metadata
import os
import platform
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

Row = dict[str, str]
Ours = TypeVar("Ours")
Reference = TypeVar("Reference")


def require_positive(**numbers: int) -> None:
    """Refuse numbers below 1, which are options of the command line by their names."""
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f"--{name} {number}: expected 1 or more")


def time_in_turn(
    ours: Callable[[], Ours], reference: Callable[[], Reference], repeats: int
) -> tuple[float, float, Ours, Reference]:
    """Median seconds of both sides and their last results.

    The two alternate within every repeat, so that a machine that is slowed down by others slows
    both.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        start = time.perf_counter()
        our_result = ours()
        middle = time.perf_counter()
        their_result = reference()
        times[0].append(middle - start)
        times[1].append(time.perf_counter() - middle)
    return median(times[0]), median(times[1]), our_result, their_result


def comparison_row(
    what: str,
    reference: str,
    count: int,
    seconds: tuple[float, float],
    agreement: np.ndarray,
    precision: str,
) -> Row:
    """One row of `COLUMNS`.

    Args:
        what: the work, with its size and the cores it had.
        reference: what it is compared with, with versions.
        count: items both sides went through.
        seconds: ours, theirs.
        agreement: share of equal values of each item, in [0, 1].
        precision: number format of the work.
    """
    ours, theirs = (count / duration for duration in seconds)
    return {
        "what": what,
        "reference": reference,
        "ours_per_s": f"{ours:.2f}",
        "reference_per_s": f"{theirs:.2f}",
        "ratio": f"{ours / theirs:.2f}",
        "agreement_mean": f"{agreement.mean():.6f}",
        "agreement_min": f"{agreement.min():.6f}",
        "machine": machine(),
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


def show_rows(rows: Sequence[Row], out: str | os.PathLike[str] | None) -> None:
    """Print the rows, one below the other, and write them as CSV to `out` if it is given."""
    width = max(map(len, COLUMNS))
    for row in rows:
        for column in COLUMNS:
            print(f"{column:<{width}}  {row[column]}")
        print()
    if out is not None:
        with atomic_write(out, "w") as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
