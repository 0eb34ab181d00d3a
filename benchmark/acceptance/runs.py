"""Complete runs on the device: synchronisation with the host, interruption and NaN."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from safetensors.torch import load_file

from benchmark.acceptance.agreement import methods_of, relative_difference, small_trial
from benchmark.acceptance.findings import Finding, at_most, fact, holds
from benchmark.acceptance.plan import ROOT
from benchmark.checks.contract import (
    BrokenContract,
    ContractTrial,
    export_is_what_was_trained,
    resume_is_exact,
)
from benchmark.device import uses_gpu
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.training.distributed.signals import EXIT_STOPPED
from benchmark.training.train import assemble, make_run, make_runner

_LOG_INTERVAL = 4
_WARM_UP = 2
"""Steps that allocate workspaces and the state of the optimiser."""


def steps_without_waiting(reduced: bool) -> Iterator[Finding]:
    """Steps that write neither a log line nor a checkpoint do not wait for the GPU."""
    for name in methods_of(reduced=True):
        with tempfile.TemporaryDirectory() as folder:
            config = small_trial(name, Path(folder))
            options = dict(precision="bf16", batch_size=2, epochs=3, log_interval=_LOG_INTERVAL)
            config.update(options)
            waits, steps = _waits(config, Path(folder) / "run")
        busy = {k for k in range(3 * steps) if _reports(k, steps)}
        idle = [place for k, places in waits.items() if k not in busy for place in places]
        yield holds(f"{name}: no wait in other steps", not idle, ", ".join(sorted(set(idle))))
        in_reports = sum(len(waits[k]) for k in busy)
        yield fact(f"{name}: waits in {len(busy)} steps with log or checkpoint", in_reports)


def _reports(step: int, steps_per_epoch: int) -> bool:
    done = step + 1
    return step < _WARM_UP or not done % _LOG_INTERVAL or not done % steps_per_epoch


def _waits(config: Config, folder: Path) -> tuple[dict[int, list[str]], int]:
    """Step → where in the code the host waited for the GPU, and the steps of an epoch."""
    waits: dict[int, list[str]] = defaultdict(list)
    with quiet_libraries():
        parts = assemble(config)
        run = make_run(parts, folder, "acceptance")
        with run.opened("replace"):
            runner = make_runner(parts, run)

            def note(message: Warning | str, _: type, file: str, line: int, *__: Any) -> None:
                if "synchroniz" in str(message):
                    waits[runner.iter].append(f"{Path(file).name}:{line}")

            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.showwarning = note
                torch.cuda.set_sync_debug_mode("warn")
                try:
                    runner.train()
                finally:
                    torch.cuda.set_sync_debug_mode("default")
    return waits, len(parts.loader)


def interrupted_run(reduced: bool) -> Iterator[Finding]:
    """A run of `tools/train.py` stopped by SIGUSR1 and resumed, against an uninterrupted one.

    On a GPU only a deterministic run is resumed exactly (`docs/training.md`); the difference of
    another one is a fact.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        small_trial("mae", work)  # which makes the pack
        complete = _command(work, "complete")
        subprocess.run(complete, cwd=ROOT, check=True)
        process = subprocess.Popen(_command(work, "stopped"), cwd=ROOT)
        log = work / "stopped" / "mae" / "pretrain" / "metrics.jsonl"
        while process.poll() is None and not (log.is_file() and log.stat().st_size):
            time.sleep(0.02)
        process.send_signal(signal.SIGUSR1)
        code = process.wait()
        yield holds(f"exit code {EXIT_STOPPED} on SIGUSR1", code == EXIT_STOPPED, str(code))
        subprocess.run([*_command(work, "stopped"), "--resume"], cwd=ROOT, check=True)
        files = [
            work / n / "mae" / "pretrain" / "encoder.safetensors" for n in ("complete", "stopped")
        ]
        one, two = map(load_file, files)
        worst = max(relative_difference(one[key], two[key]) for key in one)
        what = "exported weights, resumed against uninterrupted, relative"
        yield fact(what, worst) if uses_gpu() else at_most(what, worst, 0)
    for check in (resume_is_exact, export_is_what_was_trained):
        with tempfile.TemporaryDirectory() as folder, quiet_libraries():
            config = small_trial("vasomim", Path(folder))
            # Without atomics, which would make two runs on a GPU differ; none are used on a CPU.
            config.env_cfg = dict(deterministic=True)
            trial = ContractTrial(config, Path(folder) / "runs")
            try:
                found, reached = check(trial), True
            except BrokenContract as error:
                found, reached = str(error), False
            finally:
                trial.pair.close()
        what = f"vasomim, deterministic: {check.__name__.replace('_', ' ')}"
        yield holds(what, reached, found)


def _command(work: Path, name: str) -> Sequence[str]:
    return [
        *(sys.executable, str(ROOT / "tools" / "train.py"), "configs/mae/pretrain.py"),
        *("--scale", "tiny", "--work", str(work / name)),
        *("--packs", str(work / "packs" / "contract")),
        *("--cfg-options", "epochs=40", "batch_size=4", "log_interval=3"),
    ]


def nonfinite_batch(reduced: bool) -> Iterator[Finding]:
    """A step with a non-finite loss is skipped and counted, and the run finishes."""
    for name in methods_of(reduced=True):
        with tempfile.TemporaryDirectory() as folder, quiet_libraries():
            config = small_trial(name, Path(folder))
            parts = assemble(config)
            usual = parts.method.loss
            calls = 0

            def loss(*given: Any, usual: Any = usual) -> dict[str, Any]:
                nonlocal calls
                calls += 1
                terms = usual(*given)
                return {n: v * torch.nan for n, v in terms.items()} if calls == 2 else terms

            parts.method.loss = loss
            run = make_run(parts, Path(folder) / "run", "acceptance")
            with run.opened("replace"):
                runner = make_runner(parts, run)
                runner.train()
            skipped = runner.log.skipped.total
            state = parts.method.state_dict().values()
            finite = all(bool(value.isfinite().all()) for value in state)
        yield holds(f"{name}: one step is skipped", skipped == 1, f"{skipped} of {calls}")
        yield holds(f"{name}: all weights are finite at the end", finite)
