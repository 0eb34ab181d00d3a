"""Timings of two sides: who is called when, and what the row says."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from benchmark.comparison import (
    COLUMNS,
    comparison_row,
    require_positive,
    show_rows,
    time_in_turn,
)
from benchmark.errors import InputError


def test_sides_alternate_and_medians_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours takes 1, 9 and 2 seconds, the reference 4, 4 and 7: medians 2 and 4."""
    clock = iter([0, 1, 5, 5, 14, 18, 18, 20, 27])
    monkeypatch.setattr("benchmark.comparison.time.perf_counter", lambda: next(clock))
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
