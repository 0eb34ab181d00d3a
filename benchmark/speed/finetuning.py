"""Fine-tuning for segmentation, against mmengine's own Runner on the same model and data."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import mmseg
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner

from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.device import precision, uses_gpu
from benchmark.downstream import finetune
from benchmark.downstream.compose import compose
from benchmark.downstream.task import Task, load_task
from benchmark.encoders.encoder import export_encoder
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.randomness import seed_torch
from benchmark.registry import build
from benchmark.speed.loops import EPOCHS, PreparedLoop, RunnerSteps, of_harness, of_library
from benchmark.speed.steps import StepTiming
from benchmark.speed.timing import TimingRow
from benchmark.training.config import load_config
from benchmark.training.distributed.signals import StopSignals

DATASET = "synthetic_v"


def prepare(work: Path, method: str, trial: StepTiming) -> TaskFolder:
    """Synthetic frames in `work` to train on, and an untrained encoder for the config."""
    export_untrained(work, trial.configs, method, trial.scale)
    # Half of the patients are for training, with the last four frames each, which show vessels.
    options = dict(patients=str(max(2, trial.frames // 2)), videos="1", frames="8", first_frame="4")
    source = open_source("synthetic", **options, size=str(trial.size), test_fraction="0.5")
    folder = work / "downstream" / DATASET
    return write_task_folder(source, folder, "segmentation", DATASET, progress=False)


def export_untrained(work: Path, configs: Path, method: str, scale: str) -> None:
    """Write an encoder with initial weights where the configs of fine-tuning look for it."""
    pretrain = load_config(configs / method / "pretrain.py", scale)
    seed_torch("bench encoder")
    encoder = build(pretrain.method.encoder)
    export_encoder(work / method / "pretrain", encoder, {"run": "untrained"})


def of_mmseg(config: Config, task: Task, folder: TaskFolder, work: Path) -> RunnerSteps:
    """Steps of mmengine's Runner with mmsegmentation's runtime, hooks and log.

    Args:
        config: of our fine-tuning; model, data, transforms, batch and optimiser are taken from it.
        work: folder for its log.
    """
    library = Path(mmseg.__file__).parent / ".mim" / "configs"
    runtime = Config.fromfile(library / "_base_/default_runtime.py")
    schedule = Config.fromfile(library / "_base_/schedules/schedule_20k.py")
    optimizer = dict(config.optimizer, lr=config.base_lr)
    wrapper: dict[str, Any] = dict(type="OptimWrapper", optimizer=optimizer)
    if precision(config.precision) == "bf16":
        wrapper.update(type="AmpOptimWrapper", dtype="bfloat16")
    make = partial(
        Runner,
        model=task.build_model(config, config.seed, folder),
        work_dir=str(work),
        train_dataloader=dict(
            batch_size=config.batch_size,
            num_workers=config.num_workers,
            persistent_workers=config.num_workers > 0,
            sampler=dict(type="DefaultSampler", shuffle=True),
            dataset=task.build_dataset(config, folder, "train", config.seed),
            collate_fn=pseudo_collate,
            drop_last=True,
        ),
        train_cfg=dict(type=PreparedLoop, max_epochs=EPOCHS, val_interval=EPOCHS + 1),
        optim_wrapper=wrapper,
        param_scheduler=[dict(type="CosineAnnealingLR", T_max=EPOCHS, by_epoch=True)],
        default_hooks=dict(schedule.default_hooks),
        default_scope="mmseg",
        env_cfg=runtime.env_cfg,
        visualizer=runtime.visualizer,
        log_level="ERROR",
        experiment_name=f"mmseg_{work.name}",
    )
    return of_library(make)


def bench_finetune(method: str, trial: StepTiming) -> list[TimingRow]:
    """Time both from reading a frame to the optimiser step, print and return the row.

    The encoder of the method is untrained; the option ``num_workers`` applies to both.

    Raises:
        InputError: a method without encoder, or options that do not fit.
    """
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = prepare(work, method, trial)
        settings = [
            f"batch_size={trial.batch}",
            f"epochs={EPOCHS}",
            f"checkpoint_interval={EPOCHS}",
        ]
        if not uses_gpu():
            settings.append("num_workers=0")
        settings += trial.options
        config, card = compose(trial.configs, method, DATASET, trial.scale, settings, work)
        config.update(num_threads=torch.get_num_threads(), seed=0)
        task = load_task(config.task)
        cell = finetune.BenchmarkCell(config, card, DATASET, 0, work / "ours", work / "results")
        with quiet_libraries():
            parts = finetune.assemble(cell, task, folder)
            run = finetune.make_run(cell, parts, StopSignals(), time.time())
            runner = finetune.make_runner(parts, run)
        theirs = of_mmseg(config, task, folder, work / "theirs")
        row = trial.compare(
            f"fine-tuning {method}",
            f"mmsegmentation {mmseg.__version__}, the same model and data on mmengine's Runner",
            config,
            (of_harness(runner, work / "ours"), theirs),
        )
    trial.show([row], f"finetune-{method}")
    return [row]
