"""Fine-tune one encoder on one dataset with one seed, score it, and write the record."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_world_size
from mmengine.evaluator import Evaluator
from torch import nn
from torch.utils.data import DataLoader

from benchmark.data.checks.leakage import find_leakage_report
from benchmark.data.tasks import TaskFolder
from benchmark.device import device_name, precision, restored_threads, uses_gpu
from benchmark.downstream.examples import evenly_spread
from benchmark.downstream.fine_tuned.description import NAME
from benchmark.downstream.fine_tuned.saving import write_model
from benchmark.downstream.sampling import FineTuningSampler
from benchmark.downstream.task import Task, TaskMetric, load_task, scoring_batch_size
from benchmark.encoders.encoder import EncoderCard
from benchmark.encoders.encoder import read_encoder_card as read_encoder
from benchmark.errors import InputError, one_of
from benchmark.method_cards import MethodCard
from benchmark.nn.low_rank import merge_low_rank
from benchmark.registry import build
from benchmark.results import (
    RunRecord,
    collect_provenance,
    command_line,
    config_hash,
    read_record,
    record_path,
    write_record,
)
from benchmark.schemas import validate
from benchmark.training.accumulation import AccumulatingOptimWrapper
from benchmark.training.checkpoints.run_files import tidy_finished
from benchmark.training.config import config_differences, to_plain
from benchmark.training.distributed.signals import StopSignals
from benchmark.training.optim import build_optimizer, peak_learning_rate
from benchmark.training.run import Run, utc
from benchmark.training.runner import Runner


@dataclass
class FineTuningRun:
    """One cell of the benchmark: method × dataset × seed."""

    config: Config
    card: MethodCard
    dataset: str
    seed: int
    folder: Path
    results: Path
    live: bool = False  # one progress line instead of log lines, on a terminal

    @property
    def title(self) -> str:
        return f"{self.card.title} · {self.dataset} · seed {self.seed}"

    @property
    def record(self) -> Path:
        return record_path(
            self.results, self.config.protocol, self.card.method, self.dataset, self.seed
        )


def refuse_finished(cell: FineTuningRun) -> None:
    """Under the policy ``never``: raise an `InputError` if the cell has a record."""
    if cell.record.exists():
        raise InputError(
            f"{cell.record}: there already; --overwrite only-missing keeps it, always replaces it"
        )


@restored_threads()
def run_cell(cell: FineTuningRun, overwrite: str = "only-missing") -> RunRecord:
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
    config.seed = cell.seed
    if overwrite == "never":
        refuse_finished(cell)
    if not isinstance(count := config.examples, int) or count < 0:
        raise InputError(f"examples={count!r}: must be an integer, 0 or more")
    task = load_task(config.task)
    folder = TaskFolder.open(config.data.folder, config.task)
    if cell.record.exists() and overwrite != "always":
        record = read_back(cell, folder)
        tidy_finished(cell.folder, config.keep_checkpoints)
        if config.get("export_model", True) and not (cell.folder / f"{NAME}.json").is_file():
            print(f"{cell.title}: its model was not kept; --overwrite trains and keeps it")
        return record
    with StopSignals() as stop:
        # Before anything is written: an encoder may be missing.
        parts = assemble(cell, task, folder)
        # Looked up before the training: a damaged report is no reason to lose a finished run.
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
        parameters: of the model, without low-rank updates, which are merged in the end.
        trained_parameters: that the optimiser changes.
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


def assemble(cell: FineTuningRun, task: Task, folder: TaskFolder) -> FineTuningParts:
    """Build model, data, optimiser and metric of a cell. Nothing is written.

    Raises:
        InputError: a metric of the config is none of the task; encoder or dataset do not fit.
    """
    config = cell.config
    model = task.build_model(config, cell.seed, folder)
    parameters = sum(one.numel() for one in model.parameters())
    if config.get("lora"):
        build(config.lora).adapt(model, cell.seed)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    test = task.build_dataset(config, folder, "test", cell.seed)
    test_loader = DataLoader(test, scoring_batch_size(config), collate_fn=pseudo_collate)
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


def make_run(cell: FineTuningRun, parts: FineTuningParts, stop: StopSignals, begun: float) -> Run:
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
    """The runner of a cell, ready to train and to test."""
    evaluation = (parts.test_loader, Evaluator(parts.metric))
    return Runner(
        run, parts.model, parts.loader, parts.optimizer, evaluation, scope=parts.task.scope
    )


def read_back(cell: FineTuningRun, folder: TaskFolder) -> RunRecord:
    """The record of a finished cell.

    Raises:
        InputError: it was made with other settings, another split or another encoder.
    """
    content, record = to_plain(cell.config), read_record(cell.record)
    if record.config_hash != config_hash(content):
        changed = "; ".join(config_differences(record.config, content))
        raise InputError(
            f"{cell.record}: made with other settings ({changed}); --overwrite replaces it"
        )
    if record.split_hash != folder.split_hash:
        raise InputError(f"{cell.record}: made with another split; --overwrite replaces it")
    weights = _exported_weights(cell.config)
    if record.encoder and weights not in (None, record.encoder.weights_sha256):
        raise InputError(f"{cell.record}: made with another encoder; --overwrite replaces it")
    print(f"{cell.title}: done already", flush=True)
    return record


def _exported_weights(config: Config) -> str | None:
    """Hash of the weights a run would start from; None if they are not on this machine."""
    backbone = config.model.get("backbone") or {}
    if "folder" not in backbone:
        return None
    folder = Path(backbone["folder"])
    return read_encoder(folder).weights_sha256 if (folder / "encoder.json").is_file() else None


def with_patients(scores: pd.DataFrame, folder: TaskFolder, split: str = "test") -> pd.DataFrame:
    """The scores with a column ``patient``: images of one are no independent observations.

    Args:
        scores: one row per image of the split; column ``image`` names it.
        folder: the task. Where it knows the patient (or the study) of no image, the scores come
            back as they are; where it does not know that of some, their cells are empty.
    """
    groups = {item["stem"]: item["group"] for item in folder.splits[split]}
    if not any(groups.values()):
        return scores
    scores = scores.copy()
    scores.insert(1, "patient", scores["image"].map(groups))
    return scores


def leakage_with(folder: TaskFolder, encoder: dict[str, Any] | None) -> dict[str, Any] | None:
    """What `tools/check.py leakage` found between the encoder's frames and the task."""
    corpus_hash = encoder["provenance"].get("corpus_hash") if encoder else None
    return None if corpus_hash is None else find_leakage_report(folder.path, corpus_hash)


def values_of_cell(
    cell: FineTuningRun,
    content: dict[str, Any],
    folder: TaskFolder,
    encoder: dict[str, Any] | None,
) -> dict[str, Any]:
    """The values of a record that follow from the cell and from where it runs.

    Args:
        cell: method, dataset and seed.
        content: its config as JSON-able values, as it was before anything was built.
        folder: the task.
        encoder: fingerprint, hash of the weights and provenance; None without one.
    """
    origin = encoder["provenance"] if encoder else {}
    on_gpu = uses_gpu()
    origins = collect_provenance()
    if on_gpu:
        cuda = {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
        origins["versions"].update(cuda)
    return dict(
        protocol=cell.config.protocol,
        method=cell.card.method,
        title=cell.card.title,
        family=cell.card.family,
        # The card names the pre-training dataset of the recipe; the row, that of this encoder.
        pretraining=origin.get("pretraining", cell.card.pretraining),
        dataset=cell.dataset,
        task=cell.config.task,
        seed=cell.seed,
        split_hash=folder.split_hash,
        corpus_hash=origin.get("corpus_hash"),
        config=content,
        config_hash=config_hash(content),
        device=device_name(),
        processes=get_world_size(),
        command=command_line(sys.argv),
        peak_memory_mb=torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
        encoder=encoder,
        **origins,
    )


def metric_entries(
    metric: TaskMetric, values: dict[str, float], headlines: Collection[str]
) -> dict[str, dict[str, Any]]:
    """The metrics of a record, see `benchmark.results.schema.Metric`.

    Args:
        metric: what computed them.
        values: by name.
        headlines: names of the columns of the board.
    """
    return {
        name: {
            "value": values[name],
            "definition": definition,
            "higher_is_better": name not in metric.lower_is_better,
            "headline": name in headlines,
        }
        for name, definition in metric.definitions().items()
        if isfinite(values[name])  # a class without truth has no score
    }


def _keyed(config: Config) -> tuple[str, ...]:
    """What the seed of a run decides."""
    keyed = ("weights", "order", "augmentation")
    return keyed if config.get("label_count") is None else (*keyed, "labels")


def _record(
    cell: FineTuningRun,
    parts: FineTuningParts,
    run: Run,
    runner: Runner,
    metrics: dict[str, float],
    leakage: dict[str, Any] | None,
) -> RunRecord:
    log = runner.log if cell.config.epochs else None
    values = dict(
        values_of_cell(cell, run.description["config"], parts.folder, parts.encoder),
        metrics=metric_entries(parts.metric, metrics, cell.config.metrics),
        n_images=len(parts.metric.scores),
        seeds=dict.fromkeys(_keyed(cell.config), cell.seed),
        wall_time_s=run.seconds,
        started=run.started,
        finished=utc(time.time()),
        precision=precision(cell.config.precision) if cell.config.epochs else None,
        skipped_steps=log.skipped.total if log else None,
        images_per_s=(log.images_per_s or None) if log else None,
        leakage=leakage,
        parameters=parts.parameters,
        trained_parameters=parts.trained_parameters,
    )
    return validate(RunRecord, values, cell.record)
