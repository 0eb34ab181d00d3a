"""Train what a config describes: a pre-training method, or the segmentor."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from torch import nn

from benchmark.build import build
from benchmark.data.loader import PackDataset, pack_loader
from benchmark.data.pack import PackCollection, open_packs
from benchmark.engine.checkpoint import checkpoint_paths, newest_checkpoint
from benchmark.engine.config import differences, plain
from benchmark.engine.encoder import export_encoder, write_tensors
from benchmark.engine.hooks import CheckpointHook, LogHook, StepHook
from benchmark.engine.optim import build_optimizer
from benchmark.engine.records import provenance, science_hash
from benchmark.engine.runner import Runner
from benchmark.errors import InputError
from benchmark.files import read_json, sha256_file, write_json
from benchmark.method import Method
from benchmark.nn.vit import VisionTransformer
from benchmark.randomness import seed_torch

# How a run is executed and stored, beside what `records.NOT_SCIENCE` lists.
_NOT_SCIENCE = ("packs", "checkpoint_interval", "keep_checkpoints", "card")


@dataclass
class Run:
    """A training run before its first step."""

    config: Config
    folder: Path
    method: Method
    packs: PackCollection
    runner: Runner
    log: LogHook
    identity: dict[str, Any]


def identity(config: Config, packs: PackCollection) -> dict[str, Any]:
    """What makes a run this run: its config without paths, its corpus, the weights it builds on."""
    content = plain(config)
    weights = {
        key: sha256_file(value) for key, value in _weight_files(content) if Path(value).is_file()
    }
    return {
        "science_hash": science_hash(content, also_drop=_NOT_SCIENCE),
        "corpus_hash": packs.corpus_hash,
        "weights": weights,
        "config": content,
    }


def _weight_files(node: Any, where: str = "") -> list[tuple[str, str]]:
    if not isinstance(node, dict):
        return []
    found = []
    for key, value in node.items():
        place = f"{where}.{key}".lstrip(".")
        if key == "checkpoint" and isinstance(value, str):
            found.append((place, value))
        found += _weight_files(value, place)
    return found


def prepare(config: Config, folder: Path, log_title: str) -> Run:
    """Build every part of a run; nothing is written but mmengine's own folder.

    Raises:
        InputError: packs, weights or settings do not fit together.
    """
    packs = open_packs(config.packs)
    anatomy = packs.has_anatomy if config.anatomy == "if present" else config.anatomy
    identity_ = identity(config, packs)

    seed_torch(config.seed, "weights")
    method = build(config.method)
    loader = pack_loader(
        PackDataset(packs, anatomy),
        config.batch_size,
        config.seed,
        get_rank(),
        get_world_size(),
        config.num_workers,
    )
    per_batch = 1 if config.lr_batch is None else config.batch_size / config.lr_batch
    precision = config.precision if torch.cuda.is_available() else "fp32"
    optimizer = build_optimizer(
        method,
        config.optimizer,
        lr=config.base_lr * per_batch,
        precision=precision,
        clip_grad=config.clip_grad,
    )
    schedule = build(config.schedule, epochs=config.epochs)
    log = LogHook(folder, log_title, config.log_interval, config.batch_size)
    hooks = [
        StepHook(config.seed, config.epochs, schedule),
        log,
        CheckpointHook(
            folder,
            config.checkpoint_interval,
            config.keep_checkpoints,
            config.seed,
            identity_["science_hash"],
        ),
    ]
    runner = Runner(method, folder, loader, optimizer, config.epochs, hooks)
    return Run(config, folder, method, packs, runner, log, identity_)


def train(config: Config, folder: Path, title: str, resume: bool, overwrite: bool) -> None:
    """Train to the end and export; a finished run with the same identity is left as it is.

    Args:
        config: from `load_config`.
        folder: run folder; holds checkpoints, log, `run.json` and the exports.
        title: what log lines start with.
        resume: go on from the newest checkpoint, if there is one.
        overwrite: delete what an earlier run left in the folder.

    Raises:
        InputError: the folder holds a run and neither `resume` nor `overwrite` is set, or
            `resume` is set and the config is not the one of that run.
    """
    if overwrite and get_rank() == 0 and folder.exists():
        shutil.rmtree(folder)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    description = folder / "run.json"
    before = read_json(description) if description.exists() else None
    if before is not None and "finished" not in before and not checkpoint_paths(folder):
        before = None  # it never got as far as anything worth keeping
    if before is not None and not resume:
        raise InputError(f"{folder}: holds a run; add --resume to go on, --overwrite to replace it")
    if before is not None:
        check_same_run(before, identity(config, open_packs(config.packs)), folder)
        if "finished" in before:
            _say(f"{title}: finished already, see {folder}")
            return

    run = prepare(config, folder, title)
    checkpoint, problems = newest_checkpoint(folder) if before is not None else (None, [])
    for problem in problems:
        _say(f"warning: {problem}; falling back to the one before")
    if checkpoint is not None:
        run.runner.resume_from(checkpoint)
        _say(f"{title}: going on after epoch {checkpoint.epoch} of {config.epochs}")
    elif get_rank() == 0:
        for stale in checkpoint_paths(folder):
            stale.unlink()
        (folder / "metrics.jsonl").unlink(missing_ok=True)
        write_json(description, {**run.identity, **provenance()})

    start = time.time()
    run.runner.train()
    if get_rank() == 0:
        earlier = checkpoint.seconds if checkpoint else 0.0
        _finish(run, earlier + time.time() - start)
        _say(f"{title}: finished, exported to {folder}")


def check_same_run(before: dict[str, Any], now: dict[str, Any], folder: Path) -> None:
    """Refuse to continue a run as another one, and show what differs."""
    keys = ("science_hash", "corpus_hash", "weights")
    if all(before.get(key) == now[key] for key in keys):
        return
    changed = differences(before.get("config"), now["config"])
    changed += [
        line for key in keys[1:] for line in differences(before.get(key), now[key], where=key)
    ]
    raise InputError(
        f"{folder}: --resume continues the same run, but it was started with other settings: "
        f"{'; '.join(changed) or 'science hash'}; choose another --work-dir or --overwrite"
    )


def _finish(run: Run, seconds: float) -> None:
    origin = {
        "run": run.folder.name,
        "title": run.config.card.title,
        "pretraining": run.config.card.get("pretraining"),
        "epochs": run.config.epochs,
        "seed": run.config.seed,
        "frames": len(run.packs),
        **{key: run.identity[key] for key in ("science_hash", "corpus_hash")},
    }
    exported = {
        name: _export(run.folder, name, module, origin)
        for name, module in run.method.exports().items()
    }
    memory = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    finished = {
        "seconds": seconds,
        "images_per_s": run.log.images_per_s,
        "peak_memory_mb": memory,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "processes": get_world_size(),
        "exports": exported,
    }
    write_json(run.folder / "run.json", {**run.identity, **provenance(), "finished": finished})


def _export(folder: Path, name: str, module: nn.Module, origin: dict[str, Any]) -> str:
    if isinstance(module, VisionTransformer):
        return export_encoder(folder, module, origin).weights_sha256
    digest = write_tensors(folder / f"{name}.safetensors", module)
    write_json(folder / f"{name}.json", {"weights_sha256": digest, "provenance": origin})
    return digest


def dry_run(config: Config, folder: Path, title: str, steps: int = 2) -> None:
    """Build everything and take two steps, writing nothing that outlives the call."""
    run = prepare(config, folder, title)
    loader = run.runner.train_dataloader
    parameters = sum(p.numel() for p in run.method.parameters() if p.requires_grad)
    times = []
    run.runner.model.train()
    step_hook = run.runner.hooks[0]
    run.runner._train_loop = run.runner.build_train_loop(run.runner._train_loop)
    batches = iter(loader)
    for _ in range(steps):
        batch = next(batches)
        start = time.perf_counter()
        step_hook.before_train_iter(run.runner, 0)
        terms = run.runner.model.train_step(batch, run.runner.optim_wrapper)
        shown = {name: round(float(value), 4) for name, value in terms.items()}
        times.append(time.perf_counter() - start)
        _say(f"{title}: step {len(times)}: {shown}")
    total = times[-1] * len(loader) * config.epochs
    _say(
        f"{title}: {parameters / 1e6:.2f} M trainable parameters, {len(run.packs)} frames, "
        f"{len(loader)} steps per epoch, {config.batch_size / times[-1]:.0f} img/s, "
        f"about {total / 3600:.1f} h for {config.epochs} epochs; nothing was written"
    )


def _say(text: str) -> None:
    if get_rank() == 0:
        print(text, flush=True)


def default_folder(config_path: str | Path, work: str | Path) -> Path:
    """`configs/<method>/<name>.py` runs in `<work>/<method>/<name>`."""
    path = Path(config_path).resolve()
    return Path(work) / path.parent.name / path.stem
