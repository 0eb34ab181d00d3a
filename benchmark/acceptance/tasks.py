"""A short fine-tuning of every task on the device, scored and recorded."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from benchmark.acceptance.findings import Finding, fact, holds
from benchmark.data.sources import open_source
from benchmark.data.tasks import write_task_folder
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.compose import compose
from benchmark.downstream.finetune import run_cell
from benchmark.method_cards import CONFIGS
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.speed.finetuning import export_untrained

_TASKS = {"synthetic_v": "segmentation", "synthetic_d": "detection", "synthetic_n": "denoising"}
_OPTIONS = ("batch_size=2", "epochs=2", "checkpoint_interval=2", "export_model=False")


def all_tasks(reduced: bool) -> Iterator[Finding]:
    """Ten steps, the test loop and the record of segmentation, detection and denoising."""
    scale = "tiny" if reduced else "small"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        export_untrained(work, CONFIGS, "mae", scale)
        for dataset, kind in _TASKS.items():
            # Two of four patients, with five frames each, are for training: five steps an epoch.
            options = dict(patients="4", videos="1", frames="9", first_frame="4", size="128")
            source = open_source("synthetic", **options, test_fraction="0.5")
            folder = work / "downstream" / dataset
            write_task_folder(source, folder, kind, dataset, progress=False)
            config, card = compose(CONFIGS, "mae", dataset, scale, list(_OPTIONS), work)
            config.seed = 0
            cell = BenchmarkCell(
                config, card, dataset, 0, work / "runs" / dataset, work / "results"
            )
            with quiet_libraries(), _types_of_regions() as types:
                record = run_cell(cell)
            values = {key: metric.value for key, metric in record.metrics.items()}
            yield holds(f"{kind}: scores are finite", all(map(math.isfinite, values.values())))
            yield holds(f"{kind}: no step was skipped", not record.skipped_steps)
            yield fact(f"{kind}: images/s of the training", record.images_per_s)
            if kind == "detection":
                found = ", ".join(sorted(map(str, types)))
                yield holds("detection: regions are fp32", types == {torch.float32}, found)


@contextmanager
def _types_of_regions() -> Iterator[set[torch.dtype]]:
    """The dtypes of all regions of interest that RoIAlign gets within the block."""
    types: set[torch.dtype] = set()

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if "RoIAlign" in type(module).__name__:
            types.add(inputs[1].dtype)

    handle = register_module_forward_pre_hook(note)
    try:
        yield types
    finally:
        handle.remove()
