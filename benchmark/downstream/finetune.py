"""Fine-tune one encoder on one dataset with one seed, score it, and write the record."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from torch import nn
from torch.utils.data import DataLoader

from benchmark.data.tasks import TaskFolder
from benchmark.device import precision, restored_settings, uses_gpu
from benchmark.downstream.cell import (
    BenchmarkCell,
    leakage_with,
    metric_entries,
    open_cell,
    values_of_cell,
    with_patients,
)
from benchmark.downstream.examples import evenly_spread
from benchmark.downstream.fine_tuned.description import NAME
from benchmark.downstream.fine_tuned.model import write_model
from benchmark.downstream.sampling import FineTuningSampler
from benchmark.downstream.task import Task, TaskMetric, load_task, scoring_loader
from benchmark.encoders.card import EncoderCard
from benchmark.errors import InputError, one_of
from benchmark.nn.low_rank import merge_low_rank
from benchmark.registry import build
from benchmark.results import RunRecord, config_hash, write_record
from benchmark.schemas import validate
from benchmark.training.accumulation import AccumulatingOptimWrapper
from benchmark.training.checkpoints.run_files import tidy_finished
from benchmark.training.config import to_plain
from benchmark.training.distributed.signals import StopSignals
from benchmark.training.optim import build_optimizer, peak_learning_rate
from benchmark.training.run import Run, utc
from benchmark.training.runner import Runner


@restored_settings()
def run_cell(cell: BenchmarkCell, overwrite: str = "only-missing") -> RunRecord:
    """Train, score and record one cell.

    Args:
        cell: what to run.
        overwrite: ``"only-missing"``: a finished cell is read back, an interrupted one is resumed.
            ``"always"``: it starts over, and its record is replaced at the end. ``"never"``: an
            existing record is an error; an interrupted cell is resumed.

    Raises:
        InputError: data, encoder or settings do not fit; the existing record was made with other
            settings, or must not exist.
        Stopped: a signal asked for it; the same call resumes.
        NotFinite: several steps in a row had no finite loss or gradient.
    """
    config, begun = cell.config, time.time()
    if not isinstance(count := config.examples, int) or count < 0:
        raise InputError(f"examples={count!r}: must be an integer, 0 or more")
    task = load_task(config.task)
    folder, record = open_cell(cell, config.task, overwrite)
    if record is not None:
        tidy_finished(cell.folder, config.keep_checkpoints)
        if config.get("export_model", True) and not (cell.folder / f"{NAME}.json").is_file():
            print(f"{cell.title}: its model was not kept; --overwrite trains and keeps it")
        return record
    with StopSignals() as stop:
        # Before anything is written: an encoder may be missing.
        parts = assemble(cell, task, folder)
        # Looked up before the training: a damaged report must not cost a finished run.
        leakage = leakage_with(folder, parts.encoder)
        run = make_run(cell, parts, stop, begun)
        with run.opened("replace" if overwrite == "always" else "resume or replace"):
            runner = make_runner(parts, run)
            if config.epochs:
                if config.get("label_count") is not None:
                    stems = (item["stem"] for item in parts.loader.dataset.items)
                    run.say(f"labelled images: {', '.join(stems)}")
                runner.train()
            metrics = runner.test()
            items = evenly_spread(folder.splits["test"], config.examples)
            examples = task.build_examples(folder, items, cell.folder / "predictions")
            record = _record(cell, parts, run, runner, metrics, leakage)
            scores = with_patients(parts.metric.scores, folder)
            # Before the record, by which a finished cell is known.
            if config.get("export_model", True):
                merge_low_rank(parts.model)  # so that whoever loads it needs no adapters
                write_model(cell.folder, parts.model, folder.classes, record)
            write_record(cell.results, record, scores, examples)
            run.finish()
        shown = "  ".join(f"{name} {metrics[name]:.2f}" for name in config.metrics)
        run.say(f"{cell.title}: {shown}  ({record.wall_time_s:.0f} s)")
        return record


@dataclass
class FineTuningParts:
    """What a cell describes, built but not yet run.

    Attributes:
        loader, optimizer: None where nothing is trained.
        encoder: fingerprint, hash of the weights and provenance; None without one.
        parameters: parameter count of the model, without low-rank updates, which are merged in the
            end.
        trained_parameters: count of those that the optimiser changes.
    """

    task: Task
    folder: TaskFolder
    model: nn.Module
    loader: DataLoader | None
    optimizer: AccumulatingOptimWrapper | None
    test_loader: DataLoader
    metric: TaskMetric
    encoder: dict[str, Any] | None
    parameters: int
    trained_parameters: int


def assemble(cell: BenchmarkCell, task: Task, folder: TaskFolder) -> FineTuningParts:
    """Build model, data, optimiser and metric of a cell. Nothing is written.

    Raises:
        InputError: the task lacks a metric of the config; encoder or dataset do not fit.
    """
    config = cell.config
    model = task.build_model(config, cell.seed, folder)
    parameters = sum(one.numel() for one in model.parameters())
    if config.get("lora"):
        build(config.lora).adapt(model, cell.seed)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    test = task.build_dataset(config, folder, "test", cell.seed)
    test_loader = scoring_loader(test, config)
    metric = task.build_metric(config, folder, cell.folder / "predictions")
    for name in config.metrics:
        one_of("metric", name, metric.definitions())
    loader = optimizer = None
    trained = 0
    if config.epochs:
        trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
        train = task.build_dataset(config, folder, "train", cell.seed)
        loader = DataLoader(
            train,
            batch_sampler=FineTuningSampler(train.samples, config.batch_size, cell.seed),
            collate_fn=pseudo_collate,
            num_workers=config.num_workers,
            persistent_workers=config.num_workers > 0,
            pin_memory=uses_gpu(),
        )
        optimizer = build_optimizer(
            model,
            config.optimizer,
            lr=peak_learning_rate(config),
            layer_decay=config.layer_decay,
            precision=precision(config.precision),
            clip_grad=config.clip_grad,
        )
        task.adjust_optimizer(optimizer.optimizer, model)
    card = getattr(getattr(model, "backbone", None), "card", None)
    encoder = None
    if isinstance(card, EncoderCard):
        encoder = card.model_dump(include={"fingerprint", "weights_sha256", "provenance"})
    return FineTuningParts(
        *(task, folder, model, loader, optimizer, test_loader, metric, encoder),
        parameters=parameters,
        trained_parameters=trained,
    )


def make_run(cell: BenchmarkCell, parts: FineTuningParts, stop: StopSignals, begun: float) -> Run:
    """The run of a cell in its folder. Nothing is written."""
    content = to_plain(cell.config)
    identity = {
        "seed": cell.seed,
        "config_hash": config_hash(content),
        "split_hash": parts.folder.split_hash,
        "weights": {"encoder": parts.encoder["weights_sha256"]} if parts.encoder else {},
    }
    description = {"config": content, "data": str(parts.folder.path), "encoder": parts.encoder}
    return Run(
        cell.folder,
        cell.title,
        cell.config,
        identity,
        description,
        exports=(NAME,),
        stop=stop,
        begun=begun,
        live=cell.live,
    )


def make_runner(parts: FineTuningParts, run: Run) -> Runner:
    """The runner of a cell, ready to train and to test.

    Tests run in fp32 whatever `precision` says: bf16 would change the scores.
    """
    evaluation = (parts.test_loader, Evaluator(parts.metric))
    return Runner(
        run, parts.model, parts.loader, parts.optimizer, evaluation, scope=parts.task.scope
    )


def _record(
    cell: BenchmarkCell,
    parts: FineTuningParts,
    run: Run,
    runner: Runner,
    metrics: dict[str, float],
    leakage: dict[str, Any] | None,
) -> RunRecord:
    config = cell.config
    log = runner.log if config.epochs else None
    drawn = () if config.get("label_count") is None else ("labels",)
    values = dict(
        values_of_cell(cell, run.description["config"], parts.folder, parts.encoder),
        metrics=metric_entries(
            parts.metric.definitions(), metrics, config.metrics, parts.metric.lower_is_better
        ),
        n_images=len(parts.metric.scores),
        seeds=dict.fromkeys(("weights", "order", "augmentation", *drawn), cell.seed),
        wall_time_s=run.seconds,
        started=run.started,
        finished=utc(time.time()),
        precision=precision(config.precision) if config.epochs else None,
        skipped_steps=log.skipped.total if log else None,
        images_per_s=(log.images_per_s or None) if log else None,
        leakage=leakage,
        parameters=parts.parameters,
        trained_parameters=parts.trained_parameters,
    )
    return validate(RunRecord, values, cell.record)
