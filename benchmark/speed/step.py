"""What the harness costs: its step against a bare loop, and loading against a batch at hand."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmark.speed.loops import BareLoop, first_batch, of_harness
from benchmark.speed.setup import StepTiming, make_frames
from benchmark.speed.timing import TimingRow
from benchmark.training.train import assemble, make_run, make_runner


def equal_weights(one: nn.Module, two: nn.Module) -> np.ndarray:
    """Share of equal values in each tensor of two models."""
    states = one.state_dict(), two.state_dict()
    return np.array(
        [float((value == states[1][key]).float().mean()) for key, value in states[0].items()]
    )


def bench_step(method: str, trial: StepTiming) -> list[TimingRow]:
    """Time training steps in turn, print and return the rows.

    The first row compares the harness with a bare loop, both on one batch at hand; both start from
    the same weights and take the same steps, and the row says how many of the values agree in the
    end. The second compares the harness that loads its batches with the harness that does not.

    Args:
        method: a folder of the configs.
        trial: sizes and numbers.

    Raises:
        InputError: no such method, or options that do not fit.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        pack = make_frames(work, trial.frames, trial.size) / "pack"
        config = trial.config(method, work, pack)
        bare = BareLoop(config)
        parts = assemble(config)
        runner = make_runner(parts, make_run(parts, work / "harness", "bench"))
        harness = of_harness(runner, work / "harness", first_batch(parts))
        again = assemble(config)
        other = make_runner(again, make_run(again, work / "loading", "bench"))
        loading = of_harness(other, work / "loading")
        rows = [
            trial.compare(
                f"harness step of {method}",
                f"the same step, loop written by hand, torch {torch.__version__}",
                config,
                (harness, bare),
                lambda: equal_weights(parts.method, bare.method),
            ),
            trial.compare(
                f"harness step of {method} with loading",
                "the same step of the harness, batch at hand",
                config,
                (loading, harness),
            ),
        ]
    trial.show(rows, f"step-{method}")
    return rows
