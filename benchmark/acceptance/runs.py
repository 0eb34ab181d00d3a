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
from mmengine.hooks import Hook
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
from benchmark.training.checkpoints.checkpoint import checkpoint_paths, read_checkpoint
from benchmark.training.distributed.signals import EXIT_STOPPED
from benchmark.training.train import assemble, make_run, make_runner

_EPOCHS, _LOG_INTERVAL = 3, 4
_WARM_UP = 2
"""Steps that allocate workspaces and the state of the optimiser."""
LOG_WAITS = 6
"""Of a step with a line of the log: one for the terms of all steps since the last line, two for the
singular values of the features (whether cuSOLVER converged, and its errors), one for the threshold
of a collapse and two for its warning."""
EPOCH_WAITS = 5
"""At the end of an epoch, beside one for each tensor of the checkpoint: one for the terms that have
no line yet, four for frames that move to the GPU: pixels, masks, sizes and indices."""


def steps_without_waiting(reduced: bool) -> Iterator[Finding]:
    """Steps do not wait for the GPU, but for the line of the log; checkpoints are between epochs.

    What has to be read back there is counted, so that reading more is a miss.
    """
    for name in methods_of(reduced=True):
        with tempfile.TemporaryDirectory() as folder:
            config = small_trial(name, Path(folder))
            config.update(precision="bf16", batch_size=2, checkpoint_interval=1)
            config.update(epochs=_EPOCHS, log_interval=_LOG_INTERVAL)
            waits, steps = _waits(config, Path(folder) / "run")
            tensors = _count_tensors(Path(folder) / "run")
        logged = [
            k for k in range(_WARM_UP, steps) if not (k + 1) % _LOG_INTERVAL or k + 1 == steps
        ]
        others = set(range(_WARM_UP, steps)) - set(logged)
        idle = {place for k in others for place in waits[k]}
        yield holds(f"{name}: no wait in other steps", not idle, ", ".join(sorted(idle)))
        most = max(len(waits[k]) for k in logged)
        yield at_most(f"{name}: waits of a step with a line of the log, most", most, LOG_WAITS)
        what = f"{name}: waits between {_EPOCHS} epochs, for checkpoints of {tensors} tensors"
        yield at_most(what, len(waits["epoch"]), _EPOCHS * (tensors + EPOCH_WAITS))


class _Place(Hook):
    """Notes what a run does outside of its steps: ``"start"`` or ``"epoch"``, None within them."""

    def __init__(self) -> None:
        self.outside: str | None = "start"

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.outside = None

    def after_train_epoch(self, runner: Any) -> None:
        self.outside = "epoch"


def _waits(config: Config, folder: Path) -> tuple[dict[int | str, list[str]], int]:
    """Step or `_Place` → where in the code the host waited for the GPU; and the number of steps."""
    waits: dict[int | str, list[str]] = defaultdict(list)
    place = _Place()
    with quiet_libraries():
        parts = assemble(config)
        run = make_run(parts, folder, "acceptance")
        with run.opened("replace"):
            runner = make_runner(parts, run)
            runner.register_hook(place, priority="HIGHEST")

            def note(message: Warning | str, _: type, file: str, line: int, *__: Any) -> None:
                if "synchroniz" in str(message):
                    waits[place.outside or runner.iter].append(f"{Path(file).name}:{line}")

            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.showwarning = note
                torch.cuda.set_sync_debug_mode("warn")
                try:
                    runner.train()
                finally:
                    torch.cuda.set_sync_debug_mode("default")
    return waits, runner.max_iters


def _count_tensors(folder: Path) -> int:
    """Tensors of the newest checkpoint."""
    checkpoint = read_checkpoint(checkpoint_paths(folder)[0])
    moments = [
        value for state in checkpoint.optimizer["state"].values() for value in state.values()
    ]
    return len(checkpoint.model) + sum(map(torch.is_tensor, moments))


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
