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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np

from benchmark.files import atomic_write

COLUMNS = (
    *("what", "reference", "ours_per_s", "reference_per_s", "ratio"),
    *("agreement_mean", "agreement_min", "machine", "torch", "precision", "command"),
)

TimingRow = dict[str, str]
Ours = TypeVar("Ours")
Reference = TypeVar("Reference")


def time_in_turn(
    ours: Callable[[], Ours],
    reference: Callable[[], Reference],
    repeats: int,
    processor_time: bool = False,
) -> tuple[float, float, Ours, Reference]:
    """Median seconds of both sides and their last results.

    The two alternate within every repeat, so that other load on the machine slows both.

    Args:
        processor_time: count the CPU time of this process, which others do not change; only for
            single-threaded work that waits for nothing.
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


def compare(
    what: str,
    reference: str,
    sides: tuple[Callable[[], Ours], Callable[[], Reference]],
    count: int,
    repeats: int,
    agreement: Callable[[Ours, Reference], np.ndarray | None] = lambda *_: None,
    precision: str = "fp32",
    device: str | None = None,
    processor_time: bool = False,
    copies: int = 1,
) -> TimingRow:
    """Time two sides in turn, after an unmeasured call of each; returns a row of `COLUMNS`.

    Args:
        what: the work, with its size and the cores it had.
        reference: what it is compared with, with versions.
        count: items a call goes through.
        agreement: the share of equal values of each item in their last results, in [0, 1]; None
            where the two draw different random numbers.
        precision: number format of the work.
        device: where it was done; None for the CPU of this machine.
        copies: how often ours goes through the items in a call.
    """
    for side in sides:
        side()
    our_seconds, their_seconds, *results = time_in_turn(*sides, repeats, processor_time)
    ours, theirs = count * copies / our_seconds, count / their_seconds
    equal = agreement(*results)
    return {
        "what": what,
        "reference": reference,
        "ours_per_s": f"{ours:.2f}",
        "reference_per_s": f"{theirs:.2f}",
        "ratio": f"{ours / theirs:.2f}",
        "agreement_mean": "" if equal is None else f"{equal.mean():.6f}",
        "agreement_min": "" if equal is None else f"{equal.min():.6f}",
        "machine": device or machine(),
        "torch": importlib.metadata.version("torch"),
        "precision": precision,
        "command": command_line(),
    }


def command_line() -> str:
    return shlex.join(["tools/bench.py", *sys.argv[1:]])


def machine() -> str:
    """Model of the processor, as far as it is known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, CPU"


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """`count` CPU threads for numpy, torch and OpenCV; scikit-image's filters use one anyway."""
    import cv2
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads(), cv2.getNumThreads()
    with threadpool_limits(count):
        torch.set_num_threads(count)
        cv2.setNumThreads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            cv2.setNumThreads(before[1])


def show_rows(
    rows: Sequence[TimingRow],
    out: str | os.PathLike[str] | None,
    part: str = "bench",
    threads: int = 1,
) -> None:
    """Print the rows, one below the other, and write them as `write_rows` does."""
    width = max(map(len, COLUMNS))
    for row in rows:
        for column in COLUMNS:
            print(f"{column:<{width}}  {row[column]}")
        print()
    write_rows(rows, out, part, threads)


def write_rows(
    rows: Sequence[TimingRow], out: str | os.PathLike[str] | None, part: str, threads: int
) -> None:
    """Write rows as CSV; `out` and the others as in `csv_file`, None writes nothing."""
    if out is None:
        return
    with atomic_write(csv_file(out, part, rows[0], threads), "w") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def csv_file(out: str | os.PathLike[str], part: str, row: TimingRow, threads: int) -> Path:
    """Where rows go: `out`, or if that is a folder a file in it that is named after the rows.

    The name says what was measured, on which machine, with which torch and in which precision, as
    in ``step-nvidia-h200-torch2.11.0-bf16.csv`` or ``step-cpu-2core-torch2.11.0-fp32.csv``.
    """
    if not Path(out).is_dir():
        return Path(out)
    device = row.get("machine") or row["device"]
    if device.endswith("CPU"):
        device = f"cpu-{threads}core"
    part, device = (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in (part, device))
    return Path(out) / f"{part}-{device}-torch{row['torch']}-{row['precision']}.csv"
