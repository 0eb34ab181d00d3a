"""Seconds from resuming in the middle of a long run to its first step, against a new run."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mmengine.config import Config

from benchmark.data.packs.layout import FRAMES, INDEX, MANIFEST, SCHEMA
from benchmark.device import device, precision
from benchmark.errors import InputError
from benchmark.files import write_json
from benchmark.method import Progress
from benchmark.method_cards import CONFIGS
from benchmark.randomness import numpy_generator
from benchmark.speed.loops import of_harness
from benchmark.speed.packs import CORPUS
from benchmark.speed.steps import hardware
from benchmark.speed.timing import TimingRow, compare, show_rows
from benchmark.training.accumulation import training_step
from benchmark.training.checkpoints.checkpoint import Checkpoint, newest_checkpoint, save_checkpoint
from benchmark.training.config import load_config
from benchmark.training.train import assemble, make_run, make_runner

_SIDE = 16
_BATCH = 64


def write_noise_pack(folder: Path, count: int) -> Path:
    """A pack with a long index, whose frames are small and hold noise."""
    folder.mkdir(parents=True)
    noise = numpy_generator("bench resume").integers(0, 256, (count, _SIDE**2), dtype=np.uint8)
    noise.tofile(folder / FRAMES)
    numbers = np.arange(count)
    names = pd.Series(numbers).astype(str)
    columns = {
        "source": "noise",
        "path": "frame" + names,
        "group": "patient" + (names.str[:-2]),
        "video": "video" + (names.str[:-1]),
        "split": "train",
        "sha256": names.str.zfill(64),
        "phash": names.str.zfill(16),
        "frame": numbers,
        **dict.fromkeys(("height", "width", "valid_height", "valid_width"), _SIDE),
    }
    pd.DataFrame(columns).to_parquet(folder / INDEX)
    parameters = {"size": _SIDE}
    empty: dict[str, Any] = dict(plan_hash="", corpus_hash="noise", counts={}, skipped={})
    write_json(folder / MANIFEST, {"schema": SCHEMA, "parameters": parameters, **empty})
    return folder


def write_middle(config: Config, folder: Path, epoch: int) -> None:
    """Write the checkpoint of a run after `epoch` epochs, as if it had trained until then."""
    parts = assemble(config)
    method = parts.method.to(device()).train()
    steps = len(parts.loader)
    method.progress = Progress(config.seed, epoch, config.epochs, epoch * steps, steps)
    parts.optimizer.initialize_count_status(method, 0, 1)
    training_step(method, next(iter(parts.loader)), parts.optimizer)
    checkpoint = Checkpoint(
        epoch=epoch,
        step=epoch * steps,
        identity=parts.identity,
        seconds=0.0,
        model=method.state_dict(),
        optimizer=parts.optimizer.optimizer.state_dict(),
    )
    save_checkpoint(folder, checkpoint, keep=1)


def take_first_step(config: Config, folder: Path) -> int:
    """Open the data, build the method, resume after the newest checkpoint, if any, and step.

    Returns:
        The number of the step, from 0 over the complete run.
    """
    parts = assemble(config)
    run = make_run(parts, folder, "resume")
    run.checkpoint, _ = newest_checkpoint(folder)
    runner = make_runner(parts, run)
    of_harness(runner, folder)(1)
    return runner.iter - 1


def long_config(pack: Path, epochs: int, scale: str) -> Config:
    """MAE on a pack, for `epochs` epochs."""
    config = load_config(CONFIGS / "mae" / "pretrain.py", scale)
    config.packs = [str(pack)]
    config.update(epochs=epochs, batch_size=_BATCH, micro_batch=None, num_workers=0, anatomy=False)
    return config


def bench_resume(
    repeats: int = 3,
    out: str | os.PathLike[str] | None = None,
    frames: int = CORPUS,
    epochs: int = 800,
    at: int = 400,
    scale: str = "tiny",
) -> list[TimingRow]:
    """Time the first step of a resumed run and that of a new one, in turn.

    From opening the packs to the end of the step, without starting Python and its libraries, which
    is the same for both.

    Args:
        epochs: length of the run.
        at: epochs that are done when it is resumed.

    Raises:
        InputError: fewer frames than a batch, or `at` is not before the end.
    """
    if frames < _BATCH or at >= epochs:
        raise InputError(f"resume: {frames} frames, epoch {at} of {epochs}: nothing left to resume")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        config = long_config(write_noise_pack(folder / "pack", frames), epochs, scale)
        write_middle(config, folder / "middle", at)

        def require_places(step: int, first: int) -> np.ndarray | None:
            if (step, first) != (at * (frames // _BATCH), 0):
                raise RuntimeError(f"resumed at step {step}, began at step {first}")
            return None

        row = compare(
            f"first step after a resume at epoch {at} of {epochs}, {frames} frames, MAE {scale}",
            "first step of a new run of the same config",
            (
                lambda: take_first_step(config, folder / "middle"),
                lambda: take_first_step(config, folder / "new"),
            ),
            1,
            repeats,
            require_places,
            precision(config.precision),
            hardware(),
        )
    seconds = [1 / float(row[side]) for side in ("ours_per_s", "reference_per_s")]
    print("first step after {:.2f} s, of a new run after {:.2f} s\n".format(*seconds))
    show_rows([row], out, "resume", torch.get_num_threads())
    return [row]
