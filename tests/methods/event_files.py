"""Scalars of TensorBoard's event files, by its own reader, and those of a run's log."""

from __future__ import annotations

import json
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

Scalars = list[tuple[str, int, float]]
"""Name, step and value."""


def read_events(folder: Path) -> Scalars:
    """The scalars in the event files of a run, sorted."""
    events = EventAccumulator(str(folder / "mmengine" / "vis_data"), size_guidance={"tensors": 0})
    events.Reload()
    return sorted(
        (name, event.step, make_ndarray(event.tensor_proto).item())
        for name in events.Tags()["tensors"]
        for event in events.Tensors(name)
    )


def in_the_log(folder: Path) -> Scalars:
    """The scalars in ``metrics.jsonl``, in order."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [
        (name, line["step"], value)
        for line in lines
        for name, value in line.items()
        if name != "step" and value is not None
    ]
