"""Rates on the device against the stated goals (`docs/benchmarks/README.md`)."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmark.acceptance.findings import Finding, at_least, at_most, fact
from benchmark.acceptance.plan import ROOT
from benchmark.device import device, uses_gpu
from benchmark.method_cards import CONFIGS
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.speed.pretraining import TimedStep
from benchmark.speed.steps import StepTiming

FRAMES_PER_S, STEP, LOADING, END_TO_END, VASOMIM = 1500, 0.97, 0.95, 2.0, 1.10


def paper_steps(reduced: bool) -> Iterator[Finding]:
    """Memory and number of kernels of a training step of MAE and VasoMIM."""
    scale, batch = ("tiny", 4) if reduced else ("paper", 128)
    size, steps = (96, 1) if reduced else (512, 8)
    trial = StepTiming(CONFIGS, scale, batch, repeats=3, frames=batch, size=size, steps=steps)
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        work = Path(folder)
        pack = trial.make_frames(work) / "pack"
        for name in ("mae", "vasomim"):
            config = trial.config(name, work, pack)
            config.update(epochs=10, num_workers=0)
            step = TimedStep(config, trial)
            step.warm_up()
            for _ in range(trial.repeats):
                step()
            row = step.row(name, 1.0)
            yield fact(f"{name}, {scale}, batch {batch}: ms of a step", float(row["step_ms"]))
            yield fact(f"{name}: peak memory, MiB", float(row["peak_memory_mb"]))
            yield fact(f"{name}: kernels or operators of a step", _count_kernels(step))
            del step
            if uses_gpu():
                torch.cuda.empty_cache()


def _count_kernels(step: TimedStep) -> int:
    on_gpu = device().type == "cuda"
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity], acc_events=True) as record:
        step.take()
    return sum(event.count for event in record.key_averages())


def anatomy(reduced: bool) -> Iterator[Finding]:
    size = ("--frames", "2", "--size", "96") if reduced else ("--frames", "64", "--size", "512")
    where = ("--device", "cuda") if uses_gpu() else ()
    rows = _bench("anatomy", *size, "--repeats", "1" if reduced else "3", *where)
    for row in rows:
        yield from _rate(row["what"], float(row["ours_per_s"]), FRAMES_PER_S, "frames/s")


def step(reduced: bool) -> Iterator[Finding]:
    """The harness against a loop written by hand, and with loading against without."""
    rows = _bench("step", *_sizes(reduced, 256, 2048), "--repeats", "1" if reduced else "3")
    for row, goal in zip(rows, (STEP, LOADING), strict=True):
        yield from _rate(row["what"], float(row["ratio"]), goal, "of the reference")


def end_to_end(reduced: bool) -> Iterator[Finding]:
    """From reading a frame to the step, against mmpretrain's MAE on its Runner."""
    repeats = ("--repeats", "1" if reduced else "2")
    sizes = _sizes(reduced, 256, 2048)
    rows = _bench("pretrain", "--reference", "mmpretrain", *sizes, *repeats)
    for row in rows:
        yield from _rate(row["what"], float(row["ratio"]), END_TO_END, "times mmpretrain's")


def equal_masks(reduced: bool) -> Iterator[Finding]:
    """VasoMIM against an MAE that masks as many patches."""
    scale, batch = ("tiny", "4") if reduced else ("paper", "64")
    rows = _bench(
        *("pretrain", "vasomim", "--scale", scale, "--batch", batch),
        *("--repeats", "1" if reduced else "7", "--steps", "1" if reduced else "8"),
        *("--mae-options", "method.masking.ratio=0.5"),
    )
    value = next(float(row["relative_to_mae"]) for row in rows if row["method"] == "vasomim")
    what = f"step of VasoMIM relative to that of MAE, {scale}"
    yield at_most(what, value, VASOMIM) if uses_gpu() else fact(what, value)


def finetuning(reduced: bool) -> Iterator[Finding]:
    """Fine-tuning for segmentation against mmsegmentation on mmengine's Runner."""
    sizes = ("--scale", "tiny", "--batch", "2", "--frames", "8", "--size", "96", "--steps", "1")
    if not reduced:
        sizes = ("--scale", "paper", "--batch", "16", "--steps", "5")
    rows = _bench("finetune", *sizes, "--repeats", "1" if reduced else "3")
    for row in rows:
        yield fact(f"{row['what']}: images/s", float(row["ours_per_s"]))
        yield from _rate(row["what"], float(row["ratio"]), STEP, "of mmsegmentation's")


def _sizes(reduced: bool, batch: int, frames: int) -> tuple[str, ...]:
    if reduced:
        return ("--scale", "tiny", "--batch", "4", "--frames", "8", "--size", "96", "--steps", "1")
    sizes = ("--batch", str(batch), "--frames", str(frames), "--size", "512", "--steps", "8")
    return ("--scale", "paper", *sizes)


def _rate(what: str, value: float, goal: float, unit: str) -> Iterator[Finding]:
    """Compared with the goal on a GPU only, as the goals are for one."""
    text = f"{what.partition(',')[0]}: {unit}"
    yield at_least(text, value, goal) if uses_gpu() else fact(text, value)


def _bench(*arguments: str) -> list[dict[str, str]]:
    """The rows that `tools/bench.py` writes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.csv"
        command = [sys.executable, str(ROOT / "tools" / "bench.py"), *arguments, "--out", str(out)]
        subprocess.run(command, cwd=ROOT, check=True)
        with out.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))
