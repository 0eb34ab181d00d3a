"""Freed memory that stays with the process, counted by the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Page faults of ten rounds of filling 20 MiB anew, after one to warm up.
_COUNT = """
import ctypes, resource
from benchmark.engine.memory import keep_freed_memory
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
