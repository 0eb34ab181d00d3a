"""Two processes (nccl on two GPUs, gloo on a CPU) against one, and one of the two killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import load_file

from benchmark.acceptance.agreement import small_trial
from benchmark.acceptance.findings import Finding, at_most, holds
from benchmark.acceptance.plan import ROOT
from benchmark.files.strict_json import parse_json
from benchmark.training.distributed.signals import EXIT_STOPPED

#: Method → steps whose losses are compared: few where batch norms over a batch of four share their
#: statistics, since they amplify the rounding of every update.
STEPS = {"mae": 21, "moco_v3": 2}
LOSS = 1e-3
"""Relative difference of a loss in fp32."""


def two_equal_one(reduced: bool) -> Iterator[Finding]:
    """A run on two processes has the losses of a run on one, also with synchronised batch norms."""
    for method, steps in STEPS.items():
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            small_trial(method, work)
            for count in (1, 2):
                subprocess.run(_command(work, method, count), cwd=ROOT, env=_env(), check=True)
            one, two = (_losses(work / str(count) / method / "pretrain") for count in (1, 2))
        yield holds(f"{method}: as many steps", len(one) == len(two), f"{len(one)}, {len(two)}")
        worst = max(abs(a - b) / abs(a) for a, b in zip(one[:steps], two))
        what = f"{method}: loss of two processes against one, {steps} steps, relative"
        yield at_most(what, worst, LOSS)


def one_killed(reduced: bool) -> Iterator[Finding]:
    """The other process ends too, and the same command resumes."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        small_trial("mae", work)
        command = [*_command(work, "mae", 2, epochs=60), "--resume"]
        launcher = subprocess.Popen(command, cwd=ROOT, env=_env())
        log = work / "2" / "mae" / "pretrain" / "metrics.jsonl"
        while launcher.poll() is None and not (log.is_file() and log.stat().st_size):
            time.sleep(0.05)
        ranks = _trainings(work)
        yield holds("two processes are training", len(ranks) == 2, str(len(ranks)))
        os.kill(max(ranks), signal.SIGKILL)
        start = time.monotonic()
        code = launcher.wait()
        reached = code not in (0, EXIT_STOPPED)
        yield holds("the command fails", reached, f"exit code {code}")
        yield at_most("seconds until it fails", time.monotonic() - start, 120)
        yield holds("no process is left", not _trainings(work))
        subprocess.run(command, cwd=ROOT, env=_env(), check=True)
        weights = load_file(work / "2" / "mae" / "pretrain" / "encoder.safetensors")
        finite = all(bool(value.isfinite().all()) for value in weights.values())
        yield holds("the same command resumes and finishes", finite)


def _command(work: Path, method: str, processes: int, epochs: int = 7) -> list[str]:
    return [
        *(str(ROOT / "tools" / "dist_train.sh"), f"configs/{method}/pretrain.py", str(processes)),
        *("--scale", "tiny", "--work", str(work / str(processes))),
        *("--packs", str(work / "packs" / "contract"), "--cfg-options", f"epochs={epochs}"),
        *("batch_size=4", "micro_batch=None", "log_interval=1", "precision=fp32"),
        *("num_threads=1", "method.encoder.drop_path=0.0")[: 2 if method == "mae" else 1],
    ]


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHON": sys.executable}


def _losses(folder: Path) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [parse_json(line, "metrics.jsonl") for line in lines]
    return [entry["loss"] for entry in entries if "loss" in entry]


def _trainings(work: Path) -> list[int]:
    """The processes that train in a folder, without launchers, whose arguments are similar."""
    listing = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=1) for line in listing.stdout.splitlines()]
    return [
        int(pid)
        for pid, words in rows
        if "tools/train.py" in words and str(work) in words
        if not any(launcher in words for launcher in ("_launch.py", "dist_train.sh", "--check"))
    ]
