"""The machine and its arithmetic, and the tests that need a GPU."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import torch

from benchmark.acceptance.findings import Finding, at_most, fact, holds
from benchmark.acceptance.plan import ROOT
from benchmark.device import device, device_name
from benchmark.files import walk

PRODUCT = 1e-5
"""Error of an fp32 matrix product, relative to the largest value; with TF32, about 1e-3."""


def environment(reduced: bool) -> Iterator[Finding]:
    """`tools/check.py env`, and the accuracy of fp32 matrix products."""
    with tempfile.TemporaryDirectory() as work:
        command = [sys.executable, str(ROOT / "tools" / "check.py"), "env", "--work", work]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    yield holds("tools/check.py env finds nothing missing", done.returncode == 0)
    yield fact("device", device_name())
    yield fact("TF32 in matrix products", str(torch.backends.cuda.matmul.allow_tf32))
    yield fact("TF32 in convolutions", str(torch.backends.cudnn.allow_tf32))
    side = 256 if reduced else 2048
    one, two = (torch.randn(side, side, generator=torch.Generator().manual_seed(k)) for k in (1, 2))
    exact = one.double() @ two.double()
    found = (one.to(device()) @ two.to(device())).cpu().double()
    error = float((found - exact).abs().max() / exact.abs().max())
    yield at_most(f"error of an fp32 product, {side}², relative", error, PRODUCT)


def gpu_tests(reduced: bool) -> Iterator[Finding]:
    """All tests with the marker `gpu`."""
    files = [
        str(path)
        for path in walk(ROOT / "tests")
        if path.match("test_*.py") and "mark.gpu" in path.read_text(encoding="utf-8")
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", *files]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    print(done.stdout, done.stderr)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", done.stdout[-500:])}
    yield holds("all passed", done.returncode == 0)
    for word in ("passed", "failed", "skipped"):
        yield fact(f"tests {word}", counts.get(word, 0))
    yield holds("none was skipped", not counts.get("skipped"))
