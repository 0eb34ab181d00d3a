"""Peak memory of a function, counted from tensors of known size."""

from __future__ import annotations

import os

import pytest
import torch

from benchmark.speed.memory import peak_allocation


def test_peak_is_what_is_held_at_once() -> None:
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


def test_errors_pass_and_stderr_is_restored(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise ArithmeticError("in the step")

    with pytest.raises(ArithmeticError, match="in the step"):
        peak_allocation(work, torch.device("cpu"))
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"
