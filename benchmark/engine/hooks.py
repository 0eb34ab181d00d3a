"""What happens around each training step: randomness, learning rate, log, checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from torch import Tensor

from benchmark.data.loader import EpochBatchSampler
from benchmark.engine.accumulation import unwrap
from benchmark.engine.checkpoint import Checkpoint, save_checkpoint
from benchmark.files import write_text
from benchmark.method import Progress

# mmsegmentation's accuracy: 97 % of a frame is background, and overlapping classes have none.
_LEFT_OUT = {"acc_seg"}


class StepHook(Hook):
    """Before a step: where training stands and its learning rate. After it: EMA etc.

    Args:
        seed: seed of the run.
        epochs: length of the run.
        schedule: factor of the learning rate as a function of the fractional epoch.
    """

    priority = "VERY_HIGH"

    def __init__(self, seed: int, epochs: int, schedule: Callable[[float], float]) -> None:
        self.seed = seed
        self.epochs = epochs
        self.schedule = schedule

    def before_train_epoch(self, runner: Any) -> None:
        sampler = runner.train_dataloader.batch_sampler
        if isinstance(sampler, EpochBatchSampler):
            sampler.set_epoch(runner.epoch)
        model = unwrap(runner.model)
        if hasattr(model, "before_epoch"):
            model.before_epoch(self._progress(runner), runner.train_dataloader.dataset)

    def _progress(self, runner: Any) -> Progress:
        steps = len(runner.train_dataloader)
        return Progress(self.seed, runner.epoch, self.epochs, runner.iter, steps)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        progress = self._progress(runner)
        unwrap(runner.model).progress = progress
        factor = self.schedule(progress.step / progress.steps_per_epoch)
        for group in runner.optim_wrapper.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        model = unwrap(runner.model)
        if hasattr(model, "after_step"):
            model.after_step(model.progress)


class LogHook(Hook):
    """Means of all terms since the last line: on screen, and exactly in ``metrics.jsonl``.

    The mean of a term is that over the steps that had it. Scalars are summed on the device and read
    once per interval, so that the log costs no synchronisation inside a step. Over several
    processes the mean is taken over all of them.

    Args:
        folder: run folder.
        title: what the lines start with.
        interval: steps between two lines.
        batch_size: samples per step over all processes.
        screen_seconds: shortest time between two lines on screen.
    """

    priority = "LOW"

    def __init__(
        self, folder: Path, title: str, interval: int, batch_size: int, screen_seconds: float = 2.0
    ) -> None:
        self.path = folder / "metrics.jsonl"
        self.title = title
        self.interval = interval
        self.batch_size = batch_size
        self.screen_seconds = screen_seconds
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.count = 0
        self.images_per_s = 0.0
        self._shown = 0.0

    def before_train(self, runner: Any) -> None:
        self._forget_after(runner.iter)
        self._start = self._since = time.perf_counter()
        self._first_step = runner.iter

    def _forget_after(self, step: int) -> None:
        """A resumed run repeats the steps after its checkpoint; their old lines go."""
        if get_rank() or not self.path.exists():
            return
        kept = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except (json.JSONDecodeError, KeyError):
                break  # the line that was being written when the run was killed
        write_text(self.path, "".join(kept))

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        for name, value in outputs.items():
            if name.rpartition(".")[2] in _LEFT_OUT:
                continue
            value = value.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1
        self.count += 1
        step = runner.iter + 1
        if step % self.interval == 0 or step == runner.max_iters:
            self._write(runner, step)

    def _write(self, runner: Any, step: int) -> None:
        means = torch.stack([total / self.counts[name] for name, total in self.sums.items()])
        if get_world_size() > 1:
            torch.distributed.all_reduce(means)
            means /= get_world_size()
        terms = dict(zip(self.sums, means.tolist()))
        now = time.perf_counter()
        self.images_per_s = self.count * self.batch_size / max(now - self._since, 1e-9)
        self._since = now
        self.sums, self.counts, self.count = {}, {}, 0
        if get_rank():
            return
        lr = max(group["lr"] for group in runner.optim_wrapper.optimizer.param_groups)
        line = {"step": step, "epoch": runner.epoch, "lr": lr, **terms}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({**line, "images_per_s": round(self.images_per_s, 1)}) + "\n")
        if now - self._shown >= self.screen_seconds or step == runner.max_iters:
            self._shown = now
            left = (now - self._start) / (step - self._first_step) * (runner.max_iters - step)
            self._show(runner, step, terms, lr, left)

    def _show(
        self, runner: Any, step: int, terms: dict[str, float], lr: float, left: float
    ) -> None:
        # mmsegmentation puts the part of the model in front of a term, as in decode.loss_dice.
        shown = {name.rpartition(".")[2].removeprefix("loss_"): terms[name] for name in terms}
        named = "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
        print(
            f"{self.title}  epoch {runner.epoch + 1}/{runner.max_epochs}  "
            f"step {step}/{runner.max_iters}  {named}  lr {lr:.2e}  "
            f"{self.images_per_s:.0f} img/s  ETA {_duration(left)}",
            flush=True,
        )


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


class CheckpointHook(Hook):
    """A checkpoint every `interval` epochs and at the end, written by the first process.

    Args:
        folder: run folder.
        interval: epochs between two checkpoints.
        keep: checkpoints that are kept.
        seed, science_hash: identity of the run.
    """

    priority = "VERY_LOW"

    def __init__(
        self, folder: Path, interval: int, keep: int, seed: int, science_hash: str
    ) -> None:
        self.folder = folder
        self.interval = interval
        self.keep = keep
        self.seed = seed
        self.science_hash = science_hash
        self.seconds_before = 0.0

    def before_train(self, runner: Any) -> None:
        resumed = runner.resumed
        self.seconds_before = resumed.seconds if resumed else 0.0
        self._start = time.time()

    def after_train_epoch(self, runner: Any) -> None:
        epoch = runner.epoch + 1
        if get_rank() or (epoch % self.interval and epoch != runner.max_epochs):
            return
        checkpoint = Checkpoint(
            epoch=epoch,
            step=runner.iter,
            seed=self.seed,
            science_hash=self.science_hash,
            seconds=self.seconds_before + time.time() - self._start,
            model=unwrap(runner.model).state_dict(),
            optimizer=runner.optim_wrapper.optimizer.state_dict(),
        )
        save_checkpoint(self.folder, checkpoint, self.keep)
