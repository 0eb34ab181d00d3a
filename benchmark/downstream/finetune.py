"""Fine-tune one encoder on one data set with one seed, score it, and write the record."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
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
from benchmark.device import device_name, precision, threads_given_back, uses_gpu
from benchmark.downstream.examples import evenly_spread
from benchmark.downstream.sampling import FineTuningSampler
from benchmark.downstream.task import Task, TaskMetric, load_task
from benchmark.encoders.encoder import EncoderCard
from benchmark.encoders.encoder import read_encoder_card as read_encoder
from benchmark.errors import InputError, one_of
from benchmark.files import OVERWRITE_POLICIES, write_json
from benchmark.method_cards import MethodCard
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
from benchmark.temporary_files import remove_leftovers
from benchmark.training.checkpoints.checkpoint import newest_checkpoint, put_aside
from benchmark.training.checkpoints.run_files import DESCRIPTION, prune_checkpoints, tidy_finished
from benchmark.training.checkpoints.run_folder import clear_run, holds_run, in_use, read_description
from benchmark.training.config import config_differences, to_plain
from benchmark.training.distributed.signals import StopSignals
from benchmark.training.hooks import LogHook, StopTestHook, training_hooks
from benchmark.training.optim import build_optimizer
from benchmark.training.runner import Runner


@dataclass
class FineTuningRun:
    """One cell of the benchmark: method × data set × seed."""

    config: Config
    card: MethodCard
    dataset: str
    seed: int
    folder: Path
    results: Path

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


@threads_given_back()
def run_cell(cell: FineTuningRun, overwrite: str = "only-missing") -> RunRecord:
    """Train, score and record one cell.

    Args:
        cell: what to run.
        overwrite: one of `OVERWRITE_POLICIES`. ``"only-missing"``: a finished cell is read back, an
            interrupted one goes on. ``"always"``: it is computed anew, and its record replaced at
            the end. ``"never"``: a record that is there is an error; an interrupted cell goes on.

    Raises:
        InputError: data, encoder or settings do not fit; the record that is there was made with
            other settings, or must not be there.
        Stopped: a signal asked for it; the same call goes on.
        NotFinite: several steps in a row had no finite loss or gradient.
    """
    one_of("overwrite", overwrite, OVERWRITE_POLICIES)
    with StopSignals() as stop:
        return _run(cell, overwrite, stop)


def _run(cell: FineTuningRun, overwrite: str, stop: StopSignals) -> RunRecord:
    cell.config.seed = cell.seed
    if overwrite == "never":
        refuse_finished(cell)
    if not isinstance(count := cell.config.examples, int) or count < 0:
        raise InputError(f"examples={count!r}: must be an integer, 0 or more")
    task = load_task(cell.config.task)
    folder = TaskFolder.open(cell.config.data.folder, cell.config.task)
    content = to_plain(cell.config)
    if cell.record.exists() and overwrite != "always":
        return _kept(cell, content, folder)

    start = time.time()
    # Before anything is written: an encoder may be missing.
    model = task.build_model(cell.config, cell.seed, folder)
    with in_use(cell.folder):
        return _train_and_test(
            cell, content, task, model, folder, start, overwrite == "always", stop
        )


def _train_and_test(
    cell: FineTuningRun,
    content: dict[str, Any],
    task: Task,
    model: nn.Module,
    folder: TaskFolder,
    start: float,
    start_over: bool,
    stop: StopSignals,
) -> RunRecord:
    holds_run(cell.folder)
    run_identity = _run_identity(cell, model, folder)
    runner, log = build_runner(cell, task, model, folder, stop)
    identity = {
        "config_hash": config_hash(content),
        "split_hash": folder.split_hash,
        "encoder": _encoder(model),
        "data": str(folder.path),
    }
    # Looked up before the training: a damaged report is no reason to lose a finished run.
    leakage = _leakage(folder, identity["encoder"])
    earlier, started = 0.0, _utc(start)
    if not cell.config.epochs:
        write_json(cell.folder / DESCRIPTION, {**identity, "started": started})
    else:
        earlier, started = _resume_or_begin(
            cell, runner, identity, run_identity, started, start_over
        )
        runner.train()
    metrics = runner.test()
    metric: TaskMetric = runner.test_evaluator.metrics[0]
    items = evenly_spread(folder.splits["test"], cell.config.examples)
    examples = task.build_examples(folder, items, cell.folder / "predictions")
    seconds = earlier + time.time() - start
    values = _record_values(cell, content, identity, metrics, metric, seconds, log)
    values |= {"leakage": leakage, "started": started}
    record = validate(RunRecord, values, cell.record)
    write_record(cell.results, record, with_patients(metric.scores, folder), examples)
    prune_checkpoints(cell.folder, cell.config.keep_checkpoints)
    shown = "  ".join(f"{name} {metrics[name]:.2f}" for name in cell.config.metrics)
    print(f"{cell.title}: {shown}  ({seconds:.0f} s)", flush=True)
    return record


def _kept(cell: FineTuningRun, content: dict[str, Any], folder: TaskFolder) -> RunRecord:
    record = read_record(cell.record)
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
    tidy_finished(cell.folder, cell.config.keep_checkpoints)
    print(f"{cell.title}: done already", flush=True)
    return record


def _exported_weights(config: Config) -> str | None:
    """Hash of the weights a run would start from; None if they are not on this machine."""
    backbone = config.model.get("backbone") or {}
    if "folder" not in backbone:
        return None
    folder = Path(backbone["folder"])
    return read_encoder(folder).weights_sha256 if (folder / "encoder.json").is_file() else None


def build_runner(
    cell: FineTuningRun, task: Task, model: nn.Module, folder: TaskFolder, stop: StopSignals
) -> tuple[Runner, LogHook]:
    """The runner of one cell with its hooks, ready to train, and its log.

    Raises:
        InputError: a metric of the config is none of the task, or the data set does not fit.
    """
    config = cell.config
    identity = _run_identity(cell, model, folder)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    test = task.build_dataset(config, folder, "test", cell.seed)
    # Frames of native size cannot be stacked; a classical model takes them one by one.
    batch = config.batch_size if config.epochs else 1
    test_loader = DataLoader(test, batch_size=batch, collate_fn=pseudo_collate)
    metric = task.build_metric(config, folder, cell.folder / "predictions")
    for name in config.metrics:
        one_of("metric", name, metric.definitions())
    evaluation = (test_loader, Evaluator(metric))
    if not config.epochs:
        log = LogHook(cell.folder, cell.title, config.log_interval, config.batch_size)
        hooks = [StopTestHook(cell.title, stop)]
        classical = Runner(model, cell.folder, hooks=hooks, evaluation=evaluation, scope=task.scope)
        return classical, log

    train = task.build_dataset(config, folder, "train", cell.seed)
    loader = DataLoader(
        train,
        batch_sampler=FineTuningSampler(len(train), config.batch_size, cell.seed),
        collate_fn=pseudo_collate,
        num_workers=config.num_workers,
        persistent_workers=config.num_workers > 0,
        pin_memory=uses_gpu(),
    )
    per_batch = 1 if config.lr_batch is None else config.batch_size / config.lr_batch
    optimizer = build_optimizer(
        model,
        config.optimizer,
        lr=config.base_lr * per_batch,
        layer_decay=config.layer_decay,
        precision=precision(config.precision),
        clip_grad=config.clip_grad,
    )
    task.adjust_optimizer(optimizer.optimizer)
    schedule = task.build_schedule(config.schedule, config.epochs, len(loader))
    hooks, log = training_hooks(cell.folder, cell.title, config, schedule, identity, stop)
    runner = Runner(
        model, cell.folder, loader, optimizer, config.epochs, hooks, evaluation, scope=task.scope
    )
    return runner, log


def _run_identity(cell: FineTuningRun, model: nn.Module, folder: TaskFolder) -> dict[str, Any]:
    """What of a run a checkpoint carries."""
    encoder = _encoder(model)
    return {
        "seed": cell.seed,
        "config_hash": config_hash(to_plain(cell.config)),
        "split_hash": folder.split_hash,
        "encoder": encoder and encoder["weights_sha256"],
    }


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def _resume_or_begin(
    cell: FineTuningRun,
    runner: Runner,
    identity: dict[str, Any],
    run_identity: dict[str, Any],
    started: str,
    start_over: bool,
) -> tuple[float, str]:
    """Resume an interrupted run of the same identity, unless it has to start over.

    Returns the seconds it took so far, and when it was started.
    """
    earlier = {} if start_over else read_description(cell.folder) or {}
    begin = earlier.pop("started", started)
    checkpoint, problems = None, {}
    if earlier == identity:
        checkpoint, problems = newest_checkpoint(cell.folder, run_identity)
    remove_leftovers(cell.folder, exclusive=True)
    for line in put_aside(problems):
        print(line, flush=True)
    if checkpoint is None:
        clear_run(cell.folder)
        write_json(cell.folder / DESCRIPTION, {**identity, "started": started})
        return 0.0, started
    runner.resume_from(checkpoint)
    print(f"{cell.title}: going on after {checkpoint.place}", flush=True)
    return checkpoint.seconds, begin


def with_patients(scores: pd.DataFrame, folder: TaskFolder) -> pd.DataFrame:
    """The scores with a column ``patient``: images of one are no independent observations.

    Args:
        scores: one row per image of the test split; column ``image`` names it.
        folder: the task. Where it knows the patient (or the study) of no image, the scores come
            back as they are; where it does not know that of some, their cells are empty.
    """
    groups = {item["stem"]: item["group"] for item in folder.splits["test"]}
    if not any(groups.values()):
        return scores
    scores = scores.copy()
    scores.insert(1, "patient", scores["image"].map(groups))
    return scores


def _encoder(model: nn.Module) -> dict[str, Any] | None:
    card = getattr(getattr(model, "backbone", None), "card", None)
    if not isinstance(card, EncoderCard):
        return None
    return card.model_dump(include={"fingerprint", "weights_sha256", "provenance"})


def _leakage(folder: TaskFolder, encoder: dict[str, Any] | None) -> dict[str, Any] | None:
    """What `tools/check.py leakage` found between the encoder's corpus and the task."""
    corpus_hash = encoder["provenance"].get("corpus_hash") if encoder else None
    return None if corpus_hash is None else find_leakage_report(folder.path, corpus_hash)


def _record_values(
    cell: FineTuningRun,
    content: dict[str, Any],
    identity: dict[str, Any],
    metrics: dict[str, float],
    metric: TaskMetric,
    seconds: float,
    log: LogHook,
) -> dict[str, Any]:
    """The fields of a `RunRecord` but for `started` and `leakage`."""
    encoder = identity["encoder"]
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
        # The card names the corpus of the recipe; the row, the one this encoder has seen.
        pretraining=origin.get("pretraining", cell.card.pretraining),
        dataset=cell.dataset,
        task=cell.config.task,
        seed=cell.seed,
        split_hash=identity["split_hash"],
        corpus_hash=origin.get("corpus_hash"),
        metrics={
            name: {
                "value": metrics[name],
                "definition": definition,
                "higher_is_better": True,
                "headline": name in cell.config.metrics,
            }
            for name, definition in metric.definitions().items()
            if isfinite(metrics[name])  # a class without truth has no score
        },
        n_images=len(metric.scores),
        config=content,
        config_hash=identity["config_hash"],
        seeds={"weights": cell.seed, "order": cell.seed, "augmentation": cell.seed},
        device=device_name(),
        wall_time_s=seconds,
        finished=_utc(time.time()),
        processes=get_world_size(),
        precision=precision(cell.config.precision) if cell.config.epochs else None,
        skipped_steps=log.skipped_steps if cell.config.epochs else None,
        command=command_line(sys.argv),
        images_per_s=log.images_per_s or None,
        peak_memory_mb=torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
        encoder=encoder,
        **origins,
    )
