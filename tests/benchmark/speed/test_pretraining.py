"""The table of training costs: every column follows from what was measured."""

from __future__ import annotations

import os

import pytest
import torch

from benchmark.errors import InputError
from benchmark.speed import pretraining
from benchmark.speed.pretraining import TimedStep, bench_pretrain, peak_allocation


def test_a_row_for_each_method_beside_mae(trial, written):
    steps = trial(repeats=2, steps=2)
    rows = bench_pretrain(["vasomim"], steps, ["method.encoder.depth=2"])
    assert written("pretrain-tiny-cpu-1core") == rows
    assert [row["method"] for row in rows] == ["mae", "vasomim"]
    assert rows[0]["relative_to_mae"] == "1.00"
    for row in rows:
        per_second = 1000 * 2 / float(row["step_ms"])
        assert float(row["images_per_s"]) == pytest.approx(per_second, rel=0.02)
        # Weights, gradients and two moments of AdamW, in single precision, and some activations.
        states = 4 * 4 * 1e6 * float(row["parameters_m"]) / 2**20
        assert states < float(row["peak_memory_mb"]) < states + 60
    # Two blocks of 96 wide less: 2·(12·96² + 13·96) parameters.
    fewer = float(rows[1]["parameters_m"]) - float(rows[0]["parameters_m"])
    assert fewer == pytest.approx(2 * (12 * 96**2 + 13 * 96) / 1e6, abs=0.011)
    with pytest.raises(InputError, match=r"vasomin: no such method in .*; known: amt"):
        bench_pretrain(["vasomin"], steps)


def test_a_timing_waits_for_the_device_at_both_ends_only(trial, tmp_path, monkeypatch):
    """Three steps in six seconds take two seconds each."""
    events: list[str] = []
    of_three = trial(steps=3)
    config = of_three.config("mae", tmp_path, of_three.make_frames(tmp_path) / "pack")
    step = TimedStep(config, of_three)
    clock = iter([10.0, 16.0])
    step.clock = lambda: events.append("clock") or next(clock)
    step.take = lambda: events.append("step")
    monkeypatch.setattr(pretraining, "synchronise", lambda: events.append("wait"))
    step()
    assert events == ["wait", "clock", "step", "step", "step", "wait", "clock"]
    assert step.times == [2.0]


def test_peak_is_what_is_held_at_once():
    """Three tensors of 4 MB, two at a time, beside one that existed before."""
    before = torch.zeros(1_000_000)

    def work() -> None:
        first = before + 1
        second = first + 1
        del first
        third = second + 1
        del second, third

    for _ in range(2):
        assert 8_000_000 <= peak_allocation(work, torch.device("cpu")) < 8_001_000


def test_errors_pass_and_stderr_is_restored(capfd):
    def work() -> None:
        raise ArithmeticError("in the step")

    with pytest.raises(ArithmeticError, match="in the step"):
        peak_allocation(work, torch.device("cpu"))
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"
