"""Scoring a fine-tuned model on a split of a prepared task, as at the end of its run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from torch import nn

from benchmark.data.progress import progress_bar
from benchmark.downstream.cell import (
    BenchmarkCell,
    make_record,
    metric_entries,
    with_patients,
)
from benchmark.downstream.examples import evenly_spread
from benchmark.downstream.fine_tuned.model import FineTunedModel, load_model
from benchmark.downstream.task import TaskMetric, scoring_loader
from benchmark.downstream.transfer.planning import ModelTest
from benchmark.method_cards import MethodCard
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.results import Example, RunRecord, write_record


def score_transfer(
    test: ModelTest, batch_size: int | None = None, progress: bool = True
) -> RunRecord:
    """Score a model on another dataset and write the record, replacing an existing one.

    Args:
        test: from `plan_transfer`.
        batch_size: frames at once; None: as the model was scored at the end of its run.
        progress: whether progress is shown on stderr.

    Raises:
        InputError: the model cannot be loaded, or the split cannot be scored.
    """
    begun = time.time()
    model = load_model(test.model)
    folder, split = test.folder, test.split
    with tempfile.TemporaryDirectory() as temporary:
        predictions = Path(temporary)
        metric = model.task.build_metric(model.config, folder, predictions, split)
        metrics = _evaluate(model, metric, test, batch_size or model.batch_size, progress)
        items = evenly_spread(folder.splits[split], model.config.get("examples", 0))
        examples = model.task.build_examples(folder, items, predictions, split)
    headlines = model.config.metrics
    entries = metric_entries(metric.definitions(), metrics, headlines, metric.lower_is_better)
    return write_test(test, model.network, begun, entries, metric.scores, examples)


@torch.no_grad()
def _evaluate(
    model: FineTunedModel, metric: TaskMetric, test: ModelTest, batch_size: int, progress: bool
) -> dict[str, float]:
    """Metrics by name; the metric writes its predictions and keeps the scores of every image."""
    scope = DefaultScope.overwrite_default_scope(model.task.scope)
    with quiet_libraries(), scope:
        # All frames of the split, with the test pipeline whichever split it is.
        dataset = model.task.dataset(test.folder, test.split, model.config.test_pipeline)
        evaluator = Evaluator(metric)
    with progress_bar(test.dataset, len(dataset), 0, progress) as advance:
        for batch in scoring_loader(dataset, model.config, batch_size):
            scope = DefaultScope.overwrite_default_scope(model.task.scope)
            with quiet_libraries(), scope:
                samples = model.network.test_step(batch)
                evaluator.process(data_samples=samples, data_batch=batch)
            advance(len(samples))
    with quiet_libraries():
        return evaluator.evaluate(len(dataset))


def write_test(
    test: ModelTest,
    network: nn.Module,
    begun: float,
    metrics: dict[str, dict[str, Any]],
    scores: pd.DataFrame,
    examples: Sequence[Example] = (),
) -> RunRecord:
    """Write the record of a model that was scored, and print its headline.

    Args:
        test: what was scored.
        network: network of the model.
        begun: time stamp of the start.
        metrics: as `metric_entries` has them.
        scores: one row for each image; column ``image`` names it.
        examples: beside the record.
    """
    origin = test.description.provenance
    card = MethodCard(origin.method, origin.title, origin.family, "", origin.pretraining, False, "")
    config = Config(dict(protocol=origin.protocol, task=test.description.task))
    place = (test.dataset, origin.seed, test.record.parent, test.results)
    encoder = origin.encoder and origin.encoder.model_dump()
    record = make_record(
        *(BenchmarkCell(config, card, *place), test.content, test.folder, encoder, begun),
        metrics=metrics,
        n_images=len(scores),
        seeds={"weights": origin.seed},
        parameters=sum(one.numel() for one in network.parameters()),
    )
    write_record(test.results, record, with_patients(scores, test.folder, test.split), examples)
    headline = (f"{name} {one.value:.2f}" for name, one in record.metrics.items() if one.headline)
    print(f"{test.title}: {'  '.join(headline)}  ({record.wall_time_s:.0f} s)", flush=True)
    return record
