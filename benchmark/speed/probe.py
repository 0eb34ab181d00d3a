"""The cost of the probe during pre-training, compared with that of training steps."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch

from benchmark.speed.loops import synchronise
from benchmark.speed.pretraining import TimedStep
from benchmark.speed.steps import StepTiming
from benchmark.speed.timing import write_rows
from benchmark.training.hooks import ProbeHook
from benchmark.training.hooks.evaluating import evaluating
from benchmark.training.hooks.probe import exported_encoder
from benchmark.training.probing import ProbeFrames, choose_frames, probe, read_frames

Result = TypeVar("Result")


def bench_probe(methods: Sequence[str], trial: StepTiming) -> list[dict[str, str]]:
    """Time probes on ``trial.frames`` frames in turn with training steps of ``trial.batch``.

    ``first_probe_s`` includes reading the frames, later ones do not. ``equivalent_frames`` is the
    number of frames that are trained on in the time of a probe, and ``percent_of_run`` its share of
    a run at the interval chosen for this scale.

    Args:
        methods: folders of ``configs/``.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        pack = trial.make_frames(work) / "pack"
        rows = [_bench(method, trial, work, pack) for method in methods]
    shown = ("first_probe_s", "probe_s", "step_ms", "equivalent_frames", "percent_of_run")
    for row in rows:
        print(row["method"], "  ".join(f"{name} {row[name]}" for name in shown))
    write_rows(rows, trial.out, f"probe-{trial.scale}", torch.get_num_threads())
    return rows


def _bench(method: str, trial: StepTiming, work: Path, pack: Path) -> dict[str, str]:
    config = trial.config(method, work, pack)
    config.num_workers = 0
    settings = {k: v for k, v in config.default_hooks.probe.items() if k != "type"}
    hook = ProbeHook(**{**settings, "frames": trial.frames})
    clock = time.process_time if trial.by_processor_time else time.perf_counter
    step = TimedStep(config, trial)
    step.warm_up()
    with evaluating(step.method):
        encoder = exported_encoder(step.method)
    size, stride = encoder.img_size, encoder.strides[-1]

    def read() -> list[ProbeFrames]:
        rows = choose_frames(step.packs, hook.frames)
        return [read_frames(step.packs, half, size, stride) for half in rows]

    def run_probe() -> None:
        with evaluating(step.method):
            probe(exported_encoder(step.method), *halves, hook.c, hook.iterations)

    reading, halves = _timed(clock, read)
    seconds = []
    for _ in range(trial.repeats):
        step()
        seconds.append(_timed(clock, run_probe)[0])
    per_frame = median(step.times) / trial.batch
    equivalent = median(seconds) / per_frame
    return {
        "method": method,
        "first_probe_s": f"{reading + seconds[0]:.2f}",
        "probe_s": f"{median(seconds):.2f}",
        "step_ms": f"{1000 * median(step.times):.1f}",
        "images_per_s": f"{1 / per_frame:.1f}",
        "equivalent_frames": f"{equivalent:.0f}",
        "percent_of_run": f"{100 * equivalent / (hook.spacing * hook.frames):.2f}",
        "frames": str(trial.frames),
        "patches": str(2 * halves[0].vessel.numel()),
        **trial.conditions(config),
    }


def _timed(clock: Callable[[], float], work: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds that some work takes, and its result."""
    synchronise()
    start = clock()
    result = work()
    synchronise()
    return clock() - start, result
