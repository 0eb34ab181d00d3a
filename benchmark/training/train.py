"""Train what a config describes: a pre-training method, or the segmentor."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from mmengine.optim import OptimWrapper
from torch import nn
from torch.utils.data import DataLoader

from benchmark.data.packs import PackCollection, PackSubset, open_packs
from benchmark.data.packs.loader import pack_loader
from benchmark.data.packs.resident import open_dataset
from benchmark.device import device as choose_device
from benchmark.device import device_name, precision, threads_given_back, uses_gpu
from benchmark.encoders.encoder import architecture_of, export_encoder, write_tensors
from benchmark.errors import InputError
from benchmark.files import sha256_file, write_json
from benchmark.method import Method
from benchmark.randomness import seed_torch
from benchmark.registry import build
from benchmark.results import collect_provenance, config_hash
from benchmark.training.accumulation import count_parts, training_step
from benchmark.training.checkpoints.load_from import load_initial_weights, weights_file
from benchmark.training.checkpoints.resume import (
    History,
    changes,
    earlier_run,
    open_run,
    run_identity,
)
from benchmark.training.checkpoints.run_files import DESCRIPTION, prune_checkpoints
from benchmark.training.checkpoints.run_folder import in_use
from benchmark.training.collapse import CollapseHook
from benchmark.training.compiling import compile_blocks
from benchmark.training.config import config_differences, to_plain
from benchmark.training.distributed import watchdog
from benchmark.training.distributed.agreement import broadcast_from_main, first_reason, require_same
from benchmark.training.distributed.signals import StopSignals
from benchmark.training.grey import assume_grayscale
from benchmark.training.hooks import LogHook, training_hooks
from benchmark.training.optim import build_optimizer
from benchmark.training.runner import Runner
from benchmark.training.weight_decay import WeightDecayHook

# Settings that change no result, but have to be the same on all processes of a run.
_IN_STEP = ("micro_batch", "log_interval", "checkpoint_interval")


@dataclass
class TrainingParts:
    """What a config describes, built but not yet run."""

    config: Config
    packs: PackCollection | PackSubset
    method: Method
    loader: DataLoader
    optimizer: OptimWrapper
    identity: dict[str, Any]

    @property
    def run_identity(self) -> dict[str, Any]:
        """What of it a checkpoint carries."""
        return run_identity(self.identity, self.config.seed)


def identity(config: Config, packs: PackCollection | PackSubset) -> dict[str, Any]:
    """What makes a run this run: its config without paths, its corpus, the weights it builds on."""
    content = to_plain(config)
    weights = {
        key: sha256_file(value) for key, value in weight_files(content) if Path(value).is_file()
    }
    if config.get("load_from") is not None:
        weights["load_from"] = sha256_file(weights_file(Path(config.load_from)))
    return {
        "config_hash": config_hash(content, also_drop=("card",)),
        "corpus_hash": packs.corpus_hash,
        "weights": weights,
        "config": content,
    }


def weight_files(node: Any, where: str = "") -> list[tuple[str, str]]:
    """The files of weights a config builds on, each after the path of its key."""
    if isinstance(node, list):
        node = {str(number): value for number, value in enumerate(node)}
    if not isinstance(node, dict):
        return []
    found = []
    for key, value in node.items():
        place = f"{where}.{key}".lstrip(".")
        if key == "checkpoint" and isinstance(value, str):
            found.append((place, value))
        found += weight_files(value, place)
    return found


def assemble(
    config: Config, rank: int | None = None, world_size: int | None = None
) -> TrainingParts:
    """Build data, method and optimiser for one process. Nothing is written.

    Raises:
        InputError: packs, weights or settings are missing or do not fit together.
    """
    packs: PackCollection | PackSubset = open_packs(config.packs)
    if config.get("frames") is not None:
        packs = PackSubset(packs, config.frames)
    anatomy = packs.has_anatomy if config.anatomy == "if present" else config.anatomy
    identity_ = identity(config, packs)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    rank = get_rank() if rank is None else rank
    world_size = get_world_size() if world_size is None else world_size
    device = choose_device()
    loader = pack_loader(
        open_dataset(packs, anatomy, config.get("resident", False), device),
        config.batch_size,
        config.seed,
        rank,
        world_size,
        config.num_workers,
        device,
    )
    seed_torch(config.seed, "weights")
    method = build(config.method)
    method.prepare(len(packs))
    assume_grayscale(method)
    if config.get("load_from") is not None:
        load_initial_weights(method, Path(config.load_from))
    parts = count_parts(config.batch_size // world_size, config.micro_batch)
    if method.cross_sample and parts > 1:
        raise InputError(
            f"micro_batch={config.micro_batch}: {type(method).__name__} compares the samples of a "
            "batch, which therefore cannot be cut; set micro_batch=None"
        )
    if config.get("compile", False):
        compile_blocks(method)
    per_batch = 1 if config.lr_batch is None else config.batch_size / config.lr_batch
    optimizer = build_optimizer(
        method,
        config.optimizer,
        lr=config.base_lr * per_batch,
        precision=precision(config.precision),
        clip_grad=config.clip_grad,
        parts=parts,
        decay_biases=config.get("decay_biases", False),
        undecayed=config.get("undecayed", ()),
    )
    optimizer.optimizer.register_step_pre_hook(lambda *_: method.before_step(method.progress))
    return TrainingParts(config, packs, method, loader, optimizer, identity_)


def make_runner(
    parts: TrainingParts, folder: Path, title: str, stop: StopSignals | None = None
) -> tuple[Runner, LogHook]:
    config = parts.config
    schedule = build(config.schedule, epochs=config.epochs)
    hooks, log = training_hooks(folder, title, config, schedule, parts.run_identity, stop)
    hooks.append(CollapseHook(title, config.log_interval))
    if config.get("decay_schedule") is not None:
        hooks.append(WeightDecayHook(build(config.decay_schedule, epochs=config.epochs)))
    runner = Runner(parts.method, folder, parts.loader, parts.optimizer, config.epochs, hooks)
    return runner, log


@threads_given_back()
def check(config: Config, folder: Path, resume: bool, overwrite: bool, processes: int) -> None:
    """Find everything that would keep `train` from starting on so many processes.

    Raises:
        InputError: as `assemble` and `earlier_run`.
    """
    parts = assemble(config, rank=0, world_size=processes)
    with in_use(folder) if folder.exists() else nullcontext():
        earlier_run(folder, parts.identity, parts.method.exports(), resume, overwrite)


@threads_given_back()
def train(
    config: Config,
    folder: Path,
    title: str,
    resume: bool,
    overwrite: bool,
    stop: StopSignals | None = None,
) -> None:
    """Train to the end and export; a finished run with the same identity is left as it is.

    SIGTERM, SIGUSR1 and SIGHUP end the run after the step it is in, with a checkpoint.

    Args:
        config: from `load_config`.
        folder: run folder; holds checkpoints, log, `run.json` and the exports.
        title: what log lines start with.
        resume: go on from the newest checkpoint, if there is one.
        overwrite: remove what an earlier run wrote into the folder, once the new one can start.
        stop: what notes the signals; None: one of its own.

    Raises:
        InputError: as `assemble` and `earlier_run`.
        Stopped: a signal asked for it.
        NotFinite: several steps in a row had no finite loss or gradient.
    """
    with stop or StopSignals() as stop:
        _train(config, folder, title, resume, overwrite, stop)


def _train(
    config: Config, folder: Path, title: str, resume: bool, overwrite: bool, stop: StopSignals
) -> None:
    watchdog.note(-1, "opening data and building the method")
    parts = first_reason(lambda: assemble(config))
    watchdog.note(0, "looking at the run folder")
    # Each process has read its config, packs and weights itself.
    require_same(parts.identity, _differ, "would train another run")
    with ExitStack() as stack:
        broadcast_from_main(lambda: stack.enter_context(in_use(folder)))
        _run(parts, folder, title, resume, overwrite, stop)


def _differ(main: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """In what the identities of two processes differ that are to train one run together."""
    kept = [{key: one["config"].get(key) for key in _IN_STEP} for one in (main, other)]
    return changes(main, other) or config_differences(*kept)


def _run(
    parts: TrainingParts, folder: Path, title: str, resume: bool, overwrite: bool, stop: StopSignals
) -> None:
    config = parts.config
    exports = list(parts.method.exports())
    split = (config.batch_size, parts.optimizer._accumulative_counts)
    start = open_run(folder, parts.identity, config.seed, exports, split, resume, overwrite)
    for note in start.notes:
        _say(note)
    if start.finished:
        if get_rank() == 0:
            prune_checkpoints(folder, config.keep_checkpoints)
        _say(f"{title}: finished already, see {folder}")
        return
    checkpoint = start.checkpoint
    runner, log = make_runner(parts, folder, title, stop)
    if checkpoint is not None:
        runner.resume_from(checkpoint)
        _say(f"{title}: going on after {checkpoint.place}, of {config.epochs} epochs")
    begun = time.time()
    runner.train()
    if get_rank() == 0:
        earlier = checkpoint.seconds if checkpoint else 0.0
        _finish(parts, folder, log, earlier + time.time() - begun, start.history)
        _say(f"{title}: finished, exported to {folder}")


def corpus_title(packs: PackCollection | PackSubset) -> str:
    """What an encoder was really trained on, as the board prints it."""
    sources = " + ".join(sorted(packs.index["source"].unique()))
    return f"{sources}, {len(packs):,} frames"


def _finish(
    parts: TrainingParts, folder: Path, log: LogHook, seconds: float, history: History
) -> None:
    config, identity_ = parts.config, parts.identity
    origin = {
        "run": folder.name,
        **{key: config.card[key] for key in ("title", "family", "paper") if key in config.card},
        "pretraining": corpus_title(parts.packs),
        "epochs": config.epochs,
        "seed": config.seed,
        "frames": len(parts.packs),
        **{key: identity_[key] for key in ("config_hash", "corpus_hash")},
    }
    if "load_from" in identity_["weights"]:
        origin["load_from"] = identity_["weights"]["load_from"]
    assume_grayscale(parts.method, False)  # who uses an encoder may have other images
    exports = parts.method.exports()
    problems: list[str] = []
    exported = {
        name: _export(folder, name, module, origin, problems) for name, module in exports.items()
    }
    for problem in problems:
        _say(f"warning: {problem}; the weights are written")
    on_gpu = uses_gpu()
    finished = {
        "seconds": seconds,
        "images_per_s": log.images_per_s,
        "skipped_steps": log.skipped_steps,
        "peak_memory_mb": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
        "device": device_name(),
        "processes": get_world_size(),
        "exports": exported,
        **({"warnings": problems} if problems else {}),
    }
    done = {"execution": history, "finished": finished}
    write_json(folder / DESCRIPTION, {**identity_, **collect_provenance(), **done})
    prune_checkpoints(folder, config.keep_checkpoints)


def _export(
    folder: Path, name: str, module: nn.Module, origin: dict[str, Any], problems: list[str]
) -> str:
    if architecture_of(module) is not None:
        return export_encoder(folder, module, origin, problems=problems).weights_sha256
    digest = write_tensors(folder / f"{name}.safetensors", module)
    write_json(folder / f"{name}.json", {"weights_sha256": digest, "provenance": origin})
    return digest


@threads_given_back()
def dry_run(config: Config, title: str, steps: int = 2) -> None:
    """Build everything and take two steps; nothing that is written outlives the call."""
    parts = assemble(config)
    with tempfile.TemporaryDirectory() as folder:
        runner, _ = make_runner(parts, Path(folder), title)
        with runner.libraries:
            runner._train_loop = runner.build_train_loop(runner._train_loop)
            runner.model.train()
            seconds = 0.0
            for step, batch in zip(range(steps), parts.loader):
                start = time.perf_counter()
                runner.call_hook("before_train_iter", batch_idx=step, data_batch=batch)
                terms = training_step(runner.model, batch, parts.optimizer)
                shown = "  ".join(f"{name} {value.item():.4f}" for name, value in terms.items())
                seconds = time.perf_counter() - start  # of the last one, which has warmed up
                _say(f"{title}: step {step + 1}: {shown}")
    trainable = sum(p.numel() for p in parts.method.parameters() if p.requires_grad)
    hours = seconds * len(parts.loader) * config.epochs / 3600
    _say(
        f"{title}: {trainable / 1e6:.2f} M trainable parameters, {len(parts.packs)} frames, "
        f"{len(parts.loader)} steps per epoch, {config.batch_size / seconds:.0f} img/s, "
        f"about {hours:.1f} h for {config.epochs} epochs; nothing was written"
    )


def _say(text: str) -> None:
    if get_rank() == 0:
        print(text, flush=True)


def default_folder(config_path: str | Path, work: str | Path) -> Path:
    """`configs/<method>/<name>.py` runs in `<work>/<method>/<name>`."""
    path = Path(config_path).resolve()
    return Path(work) / path.parent.name / path.stem
