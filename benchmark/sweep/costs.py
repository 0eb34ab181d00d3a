"""How long jobs will take: the recorded time of similar jobs, or a simple estimate.

The estimate is frames × epochs / frames per second, plus the start of a process. The rates are
round numbers of VasoMIM on one device that give the order of magnitude; at scale ``paper`` they are
divided by the FLOPs of a method relative to VasoMIM's, where those are counted (``costs.csv``):

- ``paper``, one data-centre GPU. Pre-training: VasoMIM's published 800 epochs of 171,478 frames in
  about 10 hours on 8 H20, 480 frames per second and GPU. Fine-tuning: all patches are visible, and
  a decoder is added; detection has 512² instead of 224².
- ``small`` and ``tiny``, two CPU cores: the files ``pretrain-small-cpu-2core-*.csv`` and
  ``tiny-cells-synthetic-cpu.csv`` of ``docs/benchmarks``.

For a frozen encoder, the estimate of every seed includes the extraction of its features, which only
the first one does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmark.errors import InputError
from benchmark.method_costs import MethodCosts, read_costs
from benchmark.results import parse_dataset_id, read_record
from benchmark.sweep.jobs import MODEL, CellJob, Job

FRAMES_PER_S: dict[str, dict[str, float]] = {
    "paper": {
        **{"training": 480, "segmentation": 200, "denoising": 200, "detection": 30},
        **{"representation": 0.3, "linear": 200, "knn": 200, "scoring": 30},
    },
    "small": {
        **{"training": 40, "segmentation": 15, "denoising": 15, "detection": 5},
        **{"representation": 1, "linear": 10, "knn": 20, "scoring": 20},
    },
    "tiny": {
        **{"training": 150, "segmentation": 40, "denoising": 40, "detection": 40},
        **{"representation": 10, "linear": 20, "knn": 40, "scoring": 30},
    },
    "mini": {
        **{"training": 60, "segmentation": 40, "denoising": 40, "detection": 40},
        **{"representation": 10, "linear": 20, "knn": 40, "scoring": 30},
    },
}
START_S = 20.0
"""Seconds until a process has imported its libraries."""

_MODEL_BYTES = {"paper": 390e6, "small": 65e6, "tiny": 2.7e6, "mini": 6e6}
"""Size of a fine-tuned model of segmentation with the ViT of a scale."""

_FEATURE_BYTES = {"paper": 0.803e6, "small": 0.164e6, "tiny": 0.092e6, "mini": 0.12e6}
"""Size of the features of a frame by the ViT of a scale, and of its mask."""


def estimate(jobs: Sequence[Job], scale: str, configs: Path) -> None:
    """Set `hours` and `source` of every job.

    Fine-tunings: the median wall time of existing records of the same method and dataset,
    whatever their settings were; failing that, of the other methods on that dataset; failing
    that, the simple estimate. Pre-trainings: the run in their folder, or the simple estimate. Where
    the number of frames is unknown there is no estimate.

    Raises:
        InputError: the table of costs in `configs` is damaged.
    """
    costs = read_costs(configs) if scale == "paper" else {}
    times = _recorded(job for job in jobs if isinstance(job, CellJob))
    for job in jobs:
        if isinstance(job, CellJob):
            same, others = times[job.method, job.dataset], times["", job.dataset]
            hours = median(same or others) / 3600 if same or others else None
            kind = "scoring" if job.model else job.task
            source = "recorded" if same else "other methods"
        else:
            kind, hours, source = "training", job.recorded_hours(), "recorded"
        if hours is None:
            hours, source = _simple(job, kind, scale, costs), "estimate"
        job.hours, job.source = hours, source


def kept_bytes(jobs: Iterable[Job], scale: str) -> float:
    """Approximate bytes of the fine-tuned models that these jobs keep for cells that score them.

    From the median of those that exist already, or else the size of a ViT with its decoder.
    """
    keeping = [job for job in jobs if isinstance(job, CellJob) and job.keeps]
    files = [Path(job.keeps, MODEL).with_suffix(".safetensors") for job in keeping]
    there = [file.stat().st_size for file in files if file.is_file()]
    return len(keeping) * (median(there) if there else _MODEL_BYTES[scale])


def feature_bytes(jobs: Iterable[Job], scale: str) -> float:
    """Approximate bytes of the features of training frames that jobs of frozen encoders keep.

    All kinds, seeds and numbers of labels of a method and a dataset share them; ``linear`` has
    those of the flipped frames as well.
    """
    frames: dict[tuple[str, str], float] = defaultdict(float)
    for job in jobs:
        if isinstance(job, CellJob) and job.stage == "evaluate":
            known = parse_dataset_id(job.dataset)
            number = (job.frames or 0) / known.label_fraction * (1 + (known.kind == "linear"))
            pair = job.method, known.dataset
            frames[pair] = max(frames[pair], number)
    return sum(frames.values()) * _FEATURE_BYTES[scale]


def _recorded(cells: Iterable[CellJob]) -> dict[tuple[str, str], list[float]]:
    """Wall times in seconds by method and dataset, and by ``""`` and dataset."""
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for cell in cells:
        try:
            seconds = read_record(cell.output).wall_time_s
        except InputError:
            continue  # none yet, or not a valid one
        times[cell.method, cell.dataset].append(seconds)
        if cell.epochs:  # a filter says nothing about methods that are trained
            times["", cell.dataset].append(seconds)
    return times


def simple_seconds(
    frames: int, epochs: int, kind: str, scale: str = "paper", relative: float = 1.0
) -> float:
    """The simple estimate of a job in seconds: frames × epochs / rate, and the start of a process.

    Args:
        frames: of an epoch.
        epochs: of the run; 0 trains nothing.
        kind: a key of `FRAMES_PER_S`.
        relative: see `relative_flops`.
    """
    seconds = frames * epochs / FRAMES_PER_S[scale][kind]
    if kind not in ("representation", "scoring"):  # most of whose time is not the network's
        seconds *= relative
    return seconds + START_S


def relative_flops(method: str, pretraining: bool, costs: Mapping[str, MethodCosts]) -> float:
    """FLOPs of a method divided by those of VasoMIM; 1 where they are not counted.

    Args:
        pretraining: compare the steps of the pre-training; otherwise the networks.
    """
    own, reference = costs.get(method), costs.get("vasomim")
    if own is None or reference is None:
        return 1.0
    if pretraining:
        own, reference = own.step_flops, reference.step_flops
    else:
        own, reference = own.network_flops, reference.network_flops
    return own / reference if own and reference else 1.0


def _simple(job: Job, kind: str, scale: str, costs: Mapping[str, MethodCosts]) -> float | None:
    if job.frames is None:
        return None
    relative = relative_flops(job.method, not isinstance(job, CellJob), costs)
    return simple_seconds(job.frames, job.epochs, kind, scale, relative) / 3600
