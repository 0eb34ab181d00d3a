"""Freed memory that stays with the process, counted by the system; and what a step needs."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

from benchmark.training.memory import peak_allocation

# Page faults of ten rounds of filling 20 MiB anew, after one to warm up.
_COUNT = """
import ctypes, resource
from benchmark.training.memory import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def fill():
    block = libc.malloc(20 * 2**20)
    ctypes.memset(block, 1, 20 * 2**20)
    libc.free(ctypes.c_void_p(block))
libc.mallopt(-3, 2**20) if not {keep} else None
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _COUNT.format(keep=keep)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_pages_are_mapped_once() -> None:
    assert faults(keep=False) > 10_000
    assert faults(keep=True) < 100


def test_peak_is_what_is_held_at_once() -> None:
    """Of three tensors of 4 MB two at a time, beside one that was there before."""
    before = torch.zeros(1_000_000)

    def work() -> None:
        first = before + 1
        second = first + 1
        del first
        third = second + 1
        del second, third

    for _ in range(2):
        assert 8_000_000 <= peak_allocation(work, torch.device("cpu")) < 8_001_000


def test_errors_pass_and_the_screen_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise ArithmeticError("in the step")

    with pytest.raises(ArithmeticError, match="in the step"):
        peak_allocation(work, torch.device("cpu"))
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"
