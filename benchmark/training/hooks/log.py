"""The log of a run: a line on screen and one in ``metrics.jsonl`` every so many steps."""

from __future__ import annotations

import json
import math
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, get_rank, get_world_size
from mmengine.hooks import Hook
from torch import Tensor

from benchmark.errors import InputError
from benchmark.files import fsync, naming, read_regular, write_text
from benchmark.files.strict_json import parse_json
from benchmark.registry import HOOKS
from benchmark.training.distributed.agreement import broadcast_from_main
from benchmark.training.distributed.signals import NotFinite, leave
from benchmark.training.hooks.nonfinite import LIMIT, SkippedSteps

# The accuracy of mmsegmentation's heads that compute their losses themselves, see
# `benchmark.downstream.segmentation.model.losses_of_head`.
_NOT_LOGGED = {"acc_seg"}
_ANY_SIZE = 1 << 62


@HOOKS.register_module()
class LogHook(Hook):
    """Means of all terms since the last line: on screen, exactly in ``metrics.jsonl``, and to the
    visualizer of the runner.

    Each term is averaged over the steps that have it, except those that were skipped because they
    were not finite; a mean that is not finite is null. Scalars stay on the device and are read
    once per interval, so that the log costs no synchronisation inside a step. Over several
    processes the terms of each step are averaged first, so that a line does not depend on their
    number.

    Args:
        interval: steps between two lines.
        screen_seconds: shortest time between two lines on screen.

    Attributes:
        images_per_s: over the steps of the last line.
        skipped: the steps that were skipped, once the training has begun.
    """

    priority = "LOW"

    path: Path
    skipped: SkippedSteps

    def __init__(self, interval: int, screen_seconds: float = 2.0) -> None:
        self.interval = interval
        self.screen_seconds = screen_seconds
        self.images_per_s = 0.0
        # Number of a step from 1, its epoch from 0, and its terms, on the device.
        self._unread: list[tuple[int, int, dict[str, Tensor]]] = []
        self._read: list[dict[str, float]] = []
        self._timed = 0
        self._shown = 0.0

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to write the lines of an uninterrupted one; JSON-able."""
        counts = {"skipped": self.skipped.total, "in_a_row": self.skipped.in_a_row}
        return {"steps": self._read, **counts}

    def before_train(self, runner: Any) -> None:
        self.path = runner.run.folder / "metrics.jsonl"
        self.skipped = SkippedSteps(runner.run.folder)
        if (checkpoint := runner.run.checkpoint) is not None:
            self._read = list(checkpoint.log["steps"])
            self.skipped.total = checkpoint.log["skipped"]
            self.skipped.in_a_row = checkpoint.log["in_a_row"]
        # A run without a checkpoint writes all lines again, also those before its first step.
        broadcast_from_main(lambda: self._forget_after(runner.iter or -1))
        self._start = self._since = time.perf_counter()
        self._first_step = runner.iter

    def after_train(self, runner: Any) -> None:
        runner.visualizer.close()

    def _forget_after(self, step: int) -> None:
        """A resumed run repeats the steps after its checkpoint; their old lines are removed."""
        if not self.path.exists():
            return
        kept = []
        content = read_regular(self.path, limit=_ANY_SIZE).decode("utf-8", errors="replace")
        for line in content.splitlines():
            try:
                if parse_json(line, str(self.path))["step"] <= step:
                    kept.append(line + "\n")
            except (InputError, KeyError, TypeError):
                break  # the line that was being written when the run was killed
        write_text(self.path, "".join(kept))

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        terms = {
            name: value.detach().float()
            for name, value in outputs.items()
            if name.rpartition(".")[2] not in _NOT_LOGGED
        }
        step = runner.iter + 1
        self._unread.append((step, runner.epoch, terms))
        self._timed += 1
        if step % self.interval == 0 or step == runner.max_iters:
            self.read(runner)
            self._write(runner, step)

    def read(self, runner: Any) -> None:
        """Bring the terms of all steps to the host, at once; all processes do it together.

        Raises:
            NotFinite: `LIMIT` steps in a row were skipped.
        """
        if not self._unread:
            return
        values = torch.stack([value for *_, terms in self._unread for value in terms.values()])
        if get_world_size() > 1:
            torch.distributed.all_reduce(values)
            values /= get_world_size()
        numbers = iter(values.tolist())
        for step, epoch, tensors in self._unread:
            terms = {name: next(numbers) for name in tensors}
            if self.skipped.count(math.isfinite(terms.get("grad_norm", 0.0)), step):
                self._read.append(terms)
            elif get_rank() == 0:
                self.skipped.write(step, epoch, terms, runner.train_dataloader)
        self._unread = []
        if self.skipped.fatal is not None:
            line = (
                f"error: {runner.run.title}: loss or gradient not finite in {LIMIT} steps in a "
                f"row, see {self.skipped.fatal}; the last checkpoint is from before them"
            )
            barrier()  # launchers end the others as soon as one process has left
            leave(NotFinite(line), get_rank() == 0)

    def flush(self) -> None:
        """Sync the lines to the disk before the checkpoint that follows them."""
        if self.path.exists():
            with self.path.open("a") as stream:
                fsync(stream.fileno(), self.path)

    def add(self, runner: Any, epochs: int, values: dict[str, float | None]) -> None:
        """Log values that the main process has computed between two epochs, as a separate line.

        Args:
            epochs: number completed; the line has the number of the last one from 0, or -1.
            values: None stands for one that is not finite.
        """
        self._append(runner, runner.iter, {"epoch": epochs - 1, **values})

    def exclude(self, seconds: float) -> None:
        """Exclude time that was not spent on training from `images_per_s`."""
        self._since += seconds

    def _append(self, runner: Any, step: int, scalars: dict[str, float | None]) -> None:
        runner.visualizer.add_scalars(
            {name: value for name, value in scalars.items() if value is not None}, step=step
        )
        with naming(self.path), self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **scalars}) + "\n")

    def _means(self) -> dict[str, float | None]:
        columns: dict[str, list[float]] = {}
        for terms in self._read:
            for name, value in terms.items():
                columns.setdefault(name, []).append(value)
        self._read = []
        means = {name: sum(values) / len(values) for name, values in columns.items()}
        return {name: mean if math.isfinite(mean) else None for name, mean in means.items()}

    def _write(self, runner: Any, step: int) -> None:
        terms = self._means()
        now = time.perf_counter()
        self.images_per_s = (
            self._timed * runner.run.config.batch_size / max(now - self._since, 1e-9)
        )
        self._since, self._timed = now, 0
        if get_rank():
            return
        lr = max(group["lr"] for group in runner.optim_wrapper.optimizer.param_groups)
        scalars = {"epoch": runner.epoch, "lr": lr, **terms, "skipped_steps": self.skipped.total}
        scalars["images_per_s"] = round(self.images_per_s, 1)
        self._append(runner, step, scalars)
        if now - self._shown >= self.screen_seconds or step == runner.max_iters:
            self._shown = now
            left = (now - self._start) / (step - self._first_step) * (runner.max_iters - step)
            # mmsegmentation puts the part of the model in front of a term, as in decode.loss_dice.
            shown = {name.rpartition(".")[2].removeprefix("loss_"): terms[name] for name in terms}
            named = [f"{n} {'none' if v is None else f'{v:.4f}'}" for n, v in shown.items()]
            if self.skipped.total:
                named.append(f"skipped {self.skipped.total}")
            runner.run.screen.progress(
                runner.run.title,
                f"epoch {runner.epoch + 1}/{runner.max_epochs}  step {step}/{runner.max_iters}",
                f"{'  '.join(named)}  lr {lr:.2e}",
                f"{self.images_per_s:.0f} img/s  ETA {timedelta(seconds=round(left))}",
                step,
                runner.max_iters,
            )
