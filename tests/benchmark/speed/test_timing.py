"""Timings of two sides: who is called when, and what the row says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.speed.timing import COLUMNS, compare, cpu_threads, csv_file, show_rows, time_in_turn


def test_sides_alternate_and_medians_count(monkeypatch):
    """Ours takes 1, 9 and 2 seconds, the reference 4, 4 and 7: medians 2 and 4."""
    clock = iter([0, 1, 5, 5, 14, 18, 18, 20, 27])
    monkeypatch.setattr("benchmark.speed.timing.time.perf_counter", lambda: next(clock))
    calls: list[str] = []
    ours, theirs, *results = time_in_turn(
        lambda: calls.append("ours") or len(calls), lambda: calls.append("theirs") or len(calls), 3
    )
    assert calls == ["ours", "theirs"] * 3
    assert (ours, theirs, results) == (2, 4, [5, 6])


@pytest.mark.parametrize(("processor_time", "expected"), [(False, (2, 3)), (True, (1, 0))])
def test_processor_time_does_not_count_waiting(monkeypatch, processor_time, expected):
    """Ours computes for one second and waits for one, the reference waits for three."""
    wall, processor = iter([0, 2, 5]), iter([0, 1, 1])
    monkeypatch.setattr("benchmark.speed.timing.time.perf_counter", lambda: next(wall))
    monkeypatch.setattr("benchmark.speed.timing.time.process_time", lambda: next(processor))
    assert time_in_turn(list, list, 1, processor_time)[:2] == expected


def test_row_is_printed_and_written(tmp_path, written, monkeypatch, capsys):
    """20 items, which ours goes through twice, in 4 s and 5 s; each side is called once before."""
    calls = iter(range(4))
    sides = (lambda: next(calls), lambda: next(calls))
    monkeypatch.setattr(
        "benchmark.speed.timing.time_in_turn", lambda one, two, *_: (4.0, 5.0, one(), two())
    )

    def agreement(ours: int, theirs: int) -> np.ndarray:
        assert (ours, theirs) == (2, 3)
        return np.array([1.0, 0.5])

    row = compare("work", "library 1.0", sides, 20, 1, agreement, copies=2)
    assert (row["ours_per_s"], row["reference_per_s"], row["ratio"]) == ("10.00", "4.00", "2.50")
    assert (row["agreement_mean"], row["agreement_min"]) == ("0.750000", "0.500000")
    assert row["machine"].endswith("CPU")
    assert tuple(row) == COLUMNS
    show_rows([row, row], tmp_path, "Views", 2)
    assert capsys.readouterr().out.count("library 1.0") == 2
    assert written(f"views-cpu-2core-torch{row['torch']}-fp32.csv") == [row, row]


def test_name_of_a_file_in_a_folder(tmp_path):
    """It says what was measured, where, with which torch and precision; a file keeps its name."""
    sides, device = (list, list), "NVIDIA H200"
    row = compare("work", "library", sides, 1, 1, precision="bf16", device=device)
    row["torch"] = "2.11.0"
    assert (row["machine"], row["agreement_mean"]) == (device, "")
    found = csv_file(tmp_path, "step-mae-resident=False", row, 4)
    assert found == tmp_path / "step-mae-resident-false-nvidia-h200-torch2.11.0-bf16.csv"
    assert csv_file(tmp_path / "mine.csv", "views", row, 2) == tmp_path / "mine.csv"


def test_threads_are_restored():
    before = torch.get_num_threads()
    with cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
