"""What a probe costs: every column follows from what was measured."""

from __future__ import annotations

import pytest

from benchmark.speed.probe import bench_probe


def test_a_row_for_each_method(trial, written):
    rows = bench_probe(["mae"], trial(repeats=2, frames=4))
    assert written("probe-tiny-cpu-1core") == rows
    (row,) = rows
    assert (row["frames"], row["patches"]) == ("4", str(4 * 12**2))
    per_frame = float(row["step_ms"]) / 1000 / float(row["batch"])
    assert float(row["images_per_s"]) == pytest.approx(1 / per_frame, rel=0.02)
    equivalent = float(row["equivalent_frames"])
    # Both are rounded: to a frame, and to 0.01 s.
    rounding = 0.51 * per_frame + 0.0051
    assert equivalent * per_frame == pytest.approx(float(row["probe_s"]), abs=rounding, rel=0.01)
    # At scale tiny, 200 frames are trained on for each one of a probe.
    assert float(row["percent_of_run"]) == pytest.approx(100 * equivalent / (200 * 4), abs=0.1)
