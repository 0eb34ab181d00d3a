"""Scoring a fine-tuned model on a split of a prepared task, as at the end of its run."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from benchmark.data.progress import progress_bar
from benchmark.data.tasks import TaskFolder
from benchmark.downstream.examples import evenly_spread
from benchmark.downstream.fine_tuned.model import FineTunedModel, load_model
from benchmark.downstream.finetune import (
    FineTuningRun,
    leakage_with,
    metric_entries,
    values_of_cell,
    with_patients,
)
from benchmark.downstream.task import TaskMetric
from benchmark.downstream.transfer.cell import Transfer
from benchmark.method_cards import MethodCard
from benchmark.quiet import quiet_libraries
from benchmark.results import RunRecord, write_record
from benchmark.schemas import validate
from benchmark.training.run import utc


def score_transfer(
    transfer: Transfer, batch_size: int | None = None, progress: bool = True
) -> RunRecord:
    """Score a model on the data of a transfer and write the record, replacing an existing one.

    Args:
        transfer: from `plan_transfer`.
        batch_size: frames at once; None: as the model was scored at the end of its run.
        progress: whether progress is shown on stderr.

    Raises:
        InputError: the model cannot be loaded, or the split cannot be scored.
    """
    begun = time.time()
    model = load_model(transfer.model)
    folder, split = transfer.folder, transfer.split
    with tempfile.TemporaryDirectory() as temporary:
        predictions = Path(temporary)
        metric = model.task.build_metric(model.config, folder, predictions, split)
        metrics = _evaluate(model, metric, transfer, batch_size or model.batch_size, progress)
        items = evenly_spread(folder.splits[split], model.config.get("examples", 0))
        examples = model.task.build_examples(folder, items, predictions, split)
    cell, encoder = _cell(transfer, model), model.description.provenance.encoder
    encoder = encoder and encoder.model_dump()
    values = dict(
        values_of_cell(cell, _content(transfer), folder, encoder),
        metrics=metric_entries(metric, metrics, model.config.metrics),
        n_images=len(metric.scores),
        seeds={"weights": cell.seed},
        wall_time_s=time.time() - begun,
        started=utc(begun),
        finished=utc(time.time()),
        leakage=leakage_with(folder, encoder),
    )
    record = validate(RunRecord, values, transfer.record)
    scores = with_patients(metric.scores, folder, split)
    write_record(transfer.results, record, scores, examples)
    shown = "  ".join(f"{name} {metrics[name]:.2f}" for name in model.config.metrics)
    print(f"{transfer.title}: {shown}  ({record.wall_time_s:.0f} s)", flush=True)
    return record


@torch.no_grad()
def _evaluate(
    model: FineTunedModel, metric: TaskMetric, transfer: Transfer, batch_size: int, progress: bool
) -> dict[str, float]:
    """Metrics by name; the metric writes its predictions and keeps the scores of every image."""
    scope = DefaultScope.overwrite_default_scope(model.task.scope)
    with quiet_libraries(), scope:
        dataset = _dataset(model, transfer.folder, transfer.split)
        evaluator = Evaluator(metric)
    with progress_bar(transfer.dataset_id, len(dataset), 0, progress) as advance:
        for batch in DataLoader(dataset, batch_size, collate_fn=pseudo_collate):
            scope = DefaultScope.overwrite_default_scope(model.task.scope)
            with quiet_libraries(), scope:
                samples = model.network.test_step(batch)
                evaluator.process(data_samples=samples, data_batch=batch)
            advance(len(samples))
    with quiet_libraries():
        return evaluator.evaluate(len(dataset))


def _dataset(model: FineTunedModel, folder: TaskFolder, split: str) -> Any:
    """All frames of a split as they are tested, whichever it is."""
    return model.task.dataset(folder, split, model.config.test_pipeline)


def _content(transfer: Transfer) -> dict[str, Any]:
    """The config of the training, and what was tested; equal for all seeds."""
    description = transfer.description
    tested = {
        "trained": description.provenance.dataset,
        "tested": transfer.dataset,
        "split": transfer.split,
        "checkpoint": description.weights_sha256,  # of a seed, and therefore not hashed
    }
    return {**description.config, "transfer": tested}


def _cell(transfer: Transfer, model: FineTunedModel) -> FineTuningRun:
    """The transfer as a cell of the benchmark."""
    origin = transfer.description.provenance
    card = MethodCard(origin.method, origin.title, origin.family, "", origin.pretraining, False, "")
    config = Config(dict(protocol=transfer.protocol, task=transfer.description.task))
    folder = transfer.record.parent
    return FineTuningRun(config, card, transfer.dataset_id, origin.seed, folder, transfer.results)
