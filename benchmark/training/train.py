"""Pre-train a method, or train the segmentor, from a config to the exported encoder."""

from __future__ import annotations

import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from mmengine.optim import OptimWrapper
from torch import nn
from torch.utils.data import DataLoader

from benchmark.data.packs import PackCollection, PackSubset, open_packs, training_frames
from benchmark.data.packs.loader import pack_loader
from benchmark.data.packs.resident import open_dataset
from benchmark.device import device as choose_device
from benchmark.device import device_name, precision, restored_settings, uses_gpu
from benchmark.encoders.encoder import architecture_of, export_encoder, write_tensors
from benchmark.errors import InputError
from benchmark.files import sha256_file, write_json
from benchmark.method import Method
from benchmark.randomness import seed_torch
from benchmark.registry import build
from benchmark.results import config_hash
from benchmark.training.accumulation import count_parts, training_step
from benchmark.training.checkpoints.load_from import load_initial_weights, weights_file
from benchmark.training.compiling import compilation_reported, compile_blocks
from benchmark.training.config import config_differences, to_plain
from benchmark.training.distributed import watchdog
from benchmark.training.distributed.agreement import first_reason, require_same
from benchmark.training.distributed.signals import StopSignals
from benchmark.training.optim import build_optimizer, peak_learning_rate
from benchmark.training.preview import weight_files
from benchmark.training.run import Existing, Run, differences
from benchmark.training.runner import Runner

IDENTITY = ("seed", "config_hash", "corpus_hash", "weights")
"""What identifies a pre-training run, see `Run`."""

# Settings that change no result, but have to be the same on all processes of a run.
_IN_STEP = ("micro_batch", "log_interval", "checkpoint_interval")


@restored_settings()
def train(
    config: Config,
    folder: Path,
    title: str,
    resume: bool,
    overwrite: bool,
    stop: StopSignals | None = None,
    live: bool = False,
) -> None:
    """Train to the end and export; a finished run with the same identity is left as it is.

    SIGTERM, SIGUSR1 and SIGHUP end the run after the step it is in, with a checkpoint.

    Args:
        folder: run folder; holds checkpoints, log, `run.json` and the exports.
        title: what log lines start with.
        resume: resume after the newest checkpoint, if there is one.
        overwrite: remove what an earlier run wrote into the folder, once the new one can start.
        live: draw one progress line instead of log lines on a terminal.

    Raises:
        InputError: as `assemble` and `Run.opened`; or blocks cannot be compiled.
        Stopped: a signal asked for it.
        NotFinite: several steps in a row had no finite loss or gradient.
    """
    with stop or StopSignals() as stop:
        watchdog.note(-1, "opening data and building the method")
        parts = first_reason(lambda: assemble(config))
        # Each process has read its config, packs and weights itself.
        mine = {**parts.identity, "config": to_plain(config)}
        require_same(mine, _rank_differences, "would train another run")
        run = make_run(parts, folder, title, stop, live)
        with run.opened(existing(resume, overwrite)):
            if run.finished:
                if get_rank() == 0:
                    run.finish()
                run.say(f"{title}: finished already, see {folder}")
                return
            runner = None
            if config.epochs:
                runner = make_runner(parts, run)
                with _compiling(config):
                    runner.train()
            if get_rank() == 0:
                _export(parts, run, runner)
            run.say(f"{title}: finished, exported to {folder}")


@restored_settings()
def check(config: Config, folder: Path, resume: bool, overwrite: bool, processes: int) -> None:
    """Find everything that would keep `train` from starting on `processes` processes.

    Raises:
        InputError: as `assemble` and `Run.opened`.
    """
    parts = assemble(config, rank=0, world_size=processes)
    make_run(parts, folder, "").check(existing(resume, overwrite))


@restored_settings()
def dry_run(config: Config, title: str, steps: int = 2) -> None:
    """Build everything and take two steps; nothing that is written outlives the call."""
    parts = assemble(config)
    trainable = sum(p.numel() for p in parts.method.parameters() if p.requires_grad)
    size = f"{title}: {trainable / 1e6:.2f} M trainable parameters"
    if parts.loader is None:
        print(f"{size}, no epochs; nothing was written", flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(parts, Path(folder), title)
        runner = make_runner(parts, run)
        with runner.libraries, _compiling(config):
            runner.prepare()
            seconds = 0.0
            for step, batch in zip(range(steps), parts.loader):
                start = time.perf_counter()
                runner.call_hook("before_train_iter", batch_idx=step, data_batch=batch)
                terms = training_step(runner.model, batch, parts.optimizer)
                shown = "  ".join(f"{name} {value.item():.4f}" for name, value in terms.items())
                seconds = time.perf_counter() - start  # of the last one, after warm-up
                run.say(f"{title}: step {step + 1}: {shown}")
    hours = seconds * len(parts.loader) * config.epochs / 3600
    run.say(
        f"{size}, {len(parts.packs)} frames, "
        f"{len(parts.loader)} steps per epoch, {config.batch_size / seconds:.0f} img/s, "
        f"about {hours:.1f} h for {config.epochs} epochs; nothing was written"
    )


def _compiling(config: Config) -> AbstractContextManager[None]:
    """Around the steps of a run. Only where blocks are compiled: it imports torch's compiler."""
    return compilation_reported() if config.get("compile", False) else nullcontext()


def existing(resume: bool, overwrite: bool) -> Existing:
    """What the options of the command line say about a run in the folder."""
    return "replace" if overwrite else "resume" if resume else "refuse"


@dataclass
class TrainingParts:
    """What a config describes, built but not yet run; the identity has the keys of `IDENTITY`.

    Without epochs no frame is seen: `packs` and `loader` are None.
    """

    config: Config
    packs: PackCollection | PackSubset | None
    method: Method
    loader: DataLoader | None
    optimizer: OptimWrapper
    identity: dict[str, Any]


def assemble(
    config: Config, rank: int | None = None, world_size: int | None = None
) -> TrainingParts:
    """Build data, method and optimiser for one process. Nothing is written.

    Raises:
        InputError: packs, weights or settings are missing or do not fit together.
    """
    start = config.get("load_from") and weights_file(Path(config.load_from))
    packs = None
    if config.epochs:  # initial weights need no pack
        opened = open_packs(config.packs)
        packs = training_frames(opened, config.get("frames"), config.get("held_out"))
    identity = _identity(config, packs, start)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    rank = get_rank() if rank is None else rank
    world_size = get_world_size() if world_size is None else world_size
    loader = None
    if packs is not None:
        anatomy = packs.has_anatomy if config.anatomy == "if present" else config.anatomy
        device = choose_device()
        frames = open_dataset(packs, anatomy, config.get("resident", False), device)
        place = (rank, world_size, config.num_workers, device)
        loader = pack_loader(frames, config.batch_size, config.seed, *place)
    seed_torch(config.seed, "weights")
    method = build(config.method)
    if packs is not None:
        method.prepare(packs.key_count)
    if start:
        load_initial_weights(method, start)
    parts = count_parts(config.batch_size // world_size, config.micro_batch)
    if method.cross_sample and parts > 1:
        raise InputError(
            f"micro_batch={config.micro_batch}: {type(method).__name__} compares the samples of a "
            "batch, which therefore cannot be split; set micro_batch=None"
        )
    if config.get("compile", False):
        compile_blocks(method)
    optimizer = build_optimizer(
        method,
        config.optimizer,
        lr=peak_learning_rate(config),
        precision=precision(config.precision),
        clip_grad=config.clip_grad,
        parts=parts,
        decay_biases=config.get("decay_biases", False),
        undecayed=config.get("undecayed", ()),
    )
    optimizer.optimizer.register_step_pre_hook(lambda *_: method.before_step(method.progress))
    return TrainingParts(config, packs, method, loader, optimizer, identity)


def _identity(
    config: Config, packs: PackCollection | PackSubset | None, start: Path | None
) -> dict[str, Any]:
    content = to_plain(config)
    weights = {
        key: sha256_file(value) for key, value in weight_files(content) if Path(value).is_file()
    }
    if start:
        weights["load_from"] = sha256_file(start)
    return {
        "seed": config.seed,
        "config_hash": config_hash(content, also_drop=("card",)),
        "corpus_hash": None if packs is None else packs.corpus_hash,
        "weights": weights,
    }


def make_run(
    parts: TrainingParts,
    folder: Path,
    title: str,
    stop: StopSignals | None = None,
    live: bool = False,
) -> Run:
    """The run of these parts in a folder. Nothing is written."""
    return Run(
        folder,
        title,
        parts.config,
        parts.identity,
        {"config": to_plain(parts.config)},
        exports=list(parts.method.exports()),
        parts=parts.optimizer.parts,
        stop=stop or StopSignals(),
        live=live,
    )


def make_runner(parts: TrainingParts, run: Run) -> Runner:
    """The runner of a run, ready to train."""
    return Runner(run, parts.method, parts.loader, parts.optimizer)


def _rank_differences(main: dict[str, Any], other: dict[str, Any]) -> list[str]:
    settings = [{key: one["config"].get(key) for key in _IN_STEP} for one in (main, other)]
    return differences(main, other, IDENTITY) or config_differences(*settings)


def _export(parts: TrainingParts, run: Run, runner: Runner | None) -> None:
    """Write what a run has trained; without a runner, initial weights, which have seen no frame."""
    config, identity, log = parts.config, parts.identity, runner and runner.log
    corpus = "—"
    if log:  # what the encoder was actually trained on, as the board prints it
        sources = " + ".join(sorted(parts.packs.index["source"].unique()))
        corpus = f"{sources}, {len(parts.packs):,} frames"
    origin = {
        "run": run.folder.name,
        **{key: config.card[key] for key in ("title", "family", "paper") if key in config.card},
        "pretraining": corpus,
        "epochs": config.epochs,
        "seed": config.seed,
        "frames": len(parts.packs) if log else 0,
        "config_hash": identity["config_hash"],
        **({"corpus_hash": identity["corpus_hash"]} if log else {}),
    }
    if "load_from" in identity["weights"]:
        origin["load_from"] = identity["weights"]["load_from"]
    seconds, device_seconds, problems = run.seconds, run.device_seconds, []
    if log and device_seconds is not None:
        origin["device_seconds"] = device_seconds
    exported = {
        name: _export_network(run.folder, name, module, origin, problems)
        for name, module in parts.method.exports().items()
    }
    for problem in problems:
        run.say(f"warning: {problem}; the weights are written")
    run.finish(
        {
            "seconds": seconds,
            "device_seconds": device_seconds,
            "images_per_s": log.images_per_s if log else None,
            "skipped_steps": log.skipped.total if log else 0,
            "peak_memory_mb": torch.cuda.max_memory_allocated() / 2**20 if uses_gpu() else None,
            "device": device_name(),
            "processes": get_world_size(),
            "exports": exported,
            **({"warnings": problems} if problems else {}),
        }
    )


def _export_network(
    folder: Path, name: str, module: nn.Module, origin: dict[str, Any], problems: list[str]
) -> str:
    if architecture_of(module) is not None:
        return export_encoder(folder, module, origin, problems=problems).weights_sha256
    digest = write_tensors(folder / f"{name}.safetensors", module)
    write_json(folder / f"{name}.json", {"weights_sha256": digest, "provenance": origin})
    return digest
