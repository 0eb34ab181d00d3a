"""Timings of two sides: who is called when, and what the row says."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.speed.timing import (
    COLUMNS,
    comparison_row,
    csv_file,
    require_positive,
    show_rows,
    time_in_turn,
)


def test_sides_alternate_and_medians_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours takes 1, 9 and 2 seconds, the reference 4, 4 and 7: medians 2 and 4."""
    clock = iter([0, 1, 5, 5, 14, 18, 18, 20, 27])
    monkeypatch.setattr("benchmark.speed.timing.time.perf_counter", lambda: next(clock))
    calls: list[str] = []
    ours, theirs, *results = time_in_turn(
        lambda: calls.append("ours") or len(calls), lambda: calls.append("theirs") or len(calls), 3
    )
    assert calls == ["ours", "theirs"] * 3
    assert (ours, theirs, results) == (2, 4, [5, 6])


def test_row_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = comparison_row("work", "library 1.0", 20, (2.0, 5.0), np.array([1.0, 0.5]), "fp32")
    assert (row["ours_per_s"], row["reference_per_s"], row["ratio"]) == ("10.00", "4.00", "2.50")
    assert (row["agreement_mean"], row["agreement_min"]) == ("0.750000", "0.500000")
    show_rows([row, row], tmp_path / "a.csv")
    assert capsys.readouterr().out.count("library 1.0") == 2
    with open(tmp_path / "a.csv", encoding="utf-8") as stream:
        assert list(csv.DictReader(stream)) == [row, row]
    assert tuple(row) == COLUMNS


def test_senseless_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="--repeats 0: expected 1 or more"):
        require_positive(frames=1, repeats=0)


def test_name_of_a_file_in_a_folder(tmp_path: Path) -> None:
    """It says what was measured, where, with which torch and precision; a file keeps its name."""
    row = comparison_row("work", "library", 1, (1.0, 1.0), None, "bf16", "NVIDIA H200")
    row["torch"] = "2.11.0"
    assert (row["machine"], row["agreement_mean"]) == ("NVIDIA H200", "")
    found = csv_file(tmp_path, "step-mae-resident=False", row, 4)
    assert found == tmp_path / "step-mae-resident-false-nvidia-h200-torch2.11.0-bf16.csv"
    row["machine"] = "Some Processor, CPU"
    assert csv_file(tmp_path, "views", row, 2).name == "views-cpu-2core-torch2.11.0-bf16.csv"
    assert csv_file(tmp_path / "mine.csv", "views", row, 2) == tmp_path / "mine.csv"


def test_processor_time_does_not_count_waiting() -> None:
    """A side that sleeps costs wall time and no processor time."""
    busy = (lambda: sum(range(100_000)), lambda: time.sleep(0.05))
    assert time_in_turn(*busy, 1)[1] >= 0.05
    assert time_in_turn(*busy, 1, processor_time=True)[1] < 0.05
