"""Evaluate one frozen encoder on one dataset with one seed, and write the record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmark.device import restored_settings
from benchmark.downstream.cell import (
    BenchmarkCell,
    make_record,
    metric_entries,
    open_cell,
    with_patients,
)
from benchmark.downstream.examples import evenly_spread
from benchmark.downstream.frozen.features import FeatureCache
from benchmark.downstream.frozen.knn import frame_patches, knn_definitions, score_knn
from benchmark.downstream.frozen.linear import (
    patch_definition,
    score_linear,
    score_patches,
    train_linear,
)
from benchmark.downstream.segmentation.calibration import Calibration
from benchmark.downstream.segmentation.metrics import SegmentationMetric
from benchmark.downstream.segmentation.ranking import PixelRanking
from benchmark.downstream.task import load_task
from benchmark.errors import one_of
from benchmark.results import Example, RunRecord, write_record
from benchmark.training.config import to_plain


@dataclass(frozen=True, eq=False)
class FrozenEvaluation:
    """What the evaluation of a frozen encoder gives.

    Attributes:
        metrics: entries of the record.
        scores: one row for each frame of the test split.
        seeds: what the seed determines.
        trained_parameters: count of those trained on top of the encoder.
        examples: predictions kept beside the record.
    """

    metrics: dict[str, dict[str, Any]]
    scores: pd.DataFrame
    seeds: dict[str, int]
    trained_parameters: int = 0
    examples: list[Example] = field(default_factory=list)


def _evaluate_linear(cell: BenchmarkCell, cache: FeatureCache) -> FrozenEvaluation:
    config, folder, task = cell.config, cache.folder, load_task("segmentation")
    predictions = cell.folder / "predictions"
    of_pixels = (PixelRanking, Calibration)
    metric = SegmentationMetric(folder, predictions, config.score_at, of_pixels=of_pixels)
    definitions = {**metric.definitions(), "patch_ap": patch_definition(config)}
    for name in config.metrics:
        one_of("metric", name, definitions)
    test = cache.load("test")
    next(frame_patches(test, config))  # fails before the training if there are no such patches
    model = train_linear(cache, config, cell.seed)
    found = score_linear(model, metric, test, folder, config.micro_batch)
    of_patches, metric.scores["patch_ap"] = score_patches(model, test, config)
    found["patch_ap"] = of_patches
    entries = metric_entries(definitions, found, config.metrics, metric.lower_is_better)
    items = evenly_spread(folder.splits["test"], config.examples)
    return FrozenEvaluation(
        entries,
        metric.scores,
        {"weights": cell.seed, "order": cell.seed},
        sum(one.numel() for one in model.parameters()),
        task.build_examples(folder, items, predictions),
    )


def _evaluate_knn(cell: BenchmarkCell, cache: FeatureCache) -> FrozenEvaluation:
    definitions = knn_definitions(cell.config)
    for name in cell.config.metrics:
        one_of("metric", name, definitions)
    found, scores = score_knn(cache, cell.config, cell.seed)
    entries = metric_entries(definitions, found, cell.config.metrics)
    return FrozenEvaluation(entries, scores, {"sampling": cell.seed})


_EVALUATE: dict[str, Callable[[BenchmarkCell, FeatureCache], FrozenEvaluation]] = {
    "linear": _evaluate_linear,
    "knn": _evaluate_knn,
}


@restored_settings()
def evaluate_cell(
    kind: str, cell: BenchmarkCell, features: Path, overwrite: str = "only-missing"
) -> RunRecord:
    """Evaluate and record one cell; features are extracted where they are missing.

    Args:
        kind: ``"linear"`` or ``"knn"``.
        cell: config from `compose_frozen`; its dataset is an id of this kind.
        features: folder of the features of the method on the dataset.
        overwrite: as for `open_cell`; ``"always"`` replaces the record.

    Raises:
        InputError: data, encoder or settings do not fit; the existing record was made with other
            settings, or must not exist.
    """
    begun = time.time()
    folder, finished = open_cell(cell, "segmentation", overwrite)
    if finished is not None:
        return finished
    content = to_plain(cell.config)
    if cell.config.num_threads:
        torch.set_num_threads(cell.config.num_threads)
    cache = FeatureCache(cell.config, folder, features)
    found = _EVALUATE[kind](cell, cache)
    drawn = {} if cell.config.get("label_count") is None else {"labels": cell.seed}
    encoder = cache.card.model_dump(include={"fingerprint", "weights_sha256", "provenance"})
    record = make_record(
        *(cell, content, folder, encoder, begun, ("scikit-learn",)),
        metrics=found.metrics,
        n_images=len(found.scores),
        seeds=found.seeds | drawn,
        parameters=cache.load("test").parameters + found.trained_parameters,
        trained_parameters=found.trained_parameters,
    )
    write_record(cell.results, record, with_patients(found.scores, folder), found.examples)
    headline = [(name, record.metrics.get(name)) for name in cell.config.metrics]
    shown = "  ".join(f"{name} {metric.value:.2f}" for name, metric in headline if metric)
    if chance := record.metrics.get("patch_chance"):
        shown += f"  chance of patch_ap {chance.value:.2f}"
    print(f"{cell.title}: {shown}  ({record.wall_time_s:.1f} s)", flush=True)
    return record
