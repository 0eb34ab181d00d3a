"""What happens around each training step: randomness, learning rate, checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook

from benchmark.data.packs.loader import EpochBatchSampler
from benchmark.method import Progress
from benchmark.training.accumulation import unwrap
from benchmark.training.checkpoints.checkpoint import Checkpoint, save_checkpoint
from benchmark.training.distributed import watchdog
from benchmark.training.distributed.setup import CommonFlag
from benchmark.training.distributed.signals import Stopped, StopSignals, leave
from benchmark.training.log import LogHook
from benchmark.training.nonfinite import NonFiniteHook


class StepHook(Hook):
    """Before a step: where training stands and its learning rate. After it: EMA etc.

    A run that goes on within an epoch asks for the rest of its batches only, and does not repeat
    what the method did before the epoch: that is in the checkpoint.

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
        watchdog.note(2 * runner.iter + 1, f"preparing epoch {runner.epoch + 1}")
        sampler = runner.train_dataloader.batch_sampler
        done = runner.iter - runner.epoch * len(runner.train_dataloader)
        if isinstance(sampler, EpochBatchSampler):
            sampler.set_epoch(runner.epoch, done)
        model = unwrap(runner.model)
        if hasattr(model, "before_epoch") and not done:
            model.before_epoch(self._progress(runner), runner.train_dataloader.dataset)

    def _progress(self, runner: Any) -> Progress:
        steps = len(runner.train_dataloader)
        return Progress(self.seed, runner.epoch, self.epochs, runner.iter, steps)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        watchdog.note(2 * runner.iter + 2, f"in step {runner.iter + 1}")
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


class CheckpointHook(Hook):
    """A checkpoint every `interval` epochs and at the end, and where a signal asks for a stop.

    After a signal the step that runs is finished, over several processes the same one on all of
    them; then the state is saved, also within an epoch, and the run ends. Without one, a step costs
    a look at a flag. The first process writes.

    Args:
        folder: run folder.
        interval: epochs between two checkpoints.
        keep: checkpoints that are kept.
        identity: of the run, as in `Checkpoint`.
        log: its state is saved, too.
        stop: signals that ask for a stop.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        folder: Path,
        interval: int,
        keep: int,
        identity: dict[str, Any],
        log: LogHook,
        stop: StopSignals,
    ) -> None:
        self.folder = folder
        self.interval = interval
        self.keep = keep
        self.identity = identity
        self.log = log
        self.stop = stop
        self.stopping = False
        self.seconds_before = 0.0

    def before_train(self, runner: Any) -> None:
        resumed = runner.resumed
        self.seconds_before = resumed.seconds if resumed else 0.0
        self._start = time.time()
        self._flag = CommonFlag()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        step = runner.iter + 1
        self.stopping = self._flag.seen(self.stop.received is not None) or self.stopping
        if self.stopping and step % len(runner.train_dataloader):  # else the epoch is over
            self._save(runner, runner.epoch, step, within=True)
            self._leave(step, runner.max_iters)
        watchdog.note(2 * step + 1, f"loading the batch of step {step + 1}")

    def after_train_epoch(self, runner: Any) -> None:
        epoch = runner.epoch + 1
        last = epoch == runner.max_epochs
        if self.stopping or last or epoch % self.interval == 0:
            self._save(runner, epoch, runner.iter, within=False)
        if self.stopping and not last:  # at the end, finishing is as quick
            self._leave(runner.iter, runner.max_iters)

    def after_train(self, runner: Any) -> None:
        self._flag.settle()

    def _save(self, runner: Any, epoch: int, step: int, within: bool) -> None:
        self.log.read(runner)
        if get_rank():
            return
        watchdog.note(2 * step + (not within), f"saving a checkpoint after step {step}")
        self.log.flush()
        checkpoint = Checkpoint(
            epoch=epoch,
            step=step,
            identity=self.identity,
            seconds=self.seconds_before + time.time() - self._start,
            model=unwrap(runner.model).state_dict(),
            optimizer=runner.optim_wrapper.optimizer.state_dict(),
            log=self.log.state(),
            within=within,
        )
        save_checkpoint(self.folder, checkpoint, self.keep)

    def _leave(self, step: int, steps: int) -> None:
        watchdog.note(2 * step + 1, "waiting for the others to stop, too")
        self._flag.settle()
        # Launchers end the others as soon as one process has left.
        self._flag.wait_for_all()
        reason = self.stop.received or "a signal to another process"
        line = f"{self.log.title}: {reason}: saved after step {step} of {steps}, to be resumed"
        leave(Stopped(line), get_rank() == 0)


class StopTestHook(Hook):
    """A signal during a test ends it: what was trained is saved, and scores of a part are none.

    Args:
        title: what the line on screen starts with.
        stop: signals that ask for a stop.
    """

    def __init__(self, title: str, stop: StopSignals) -> None:
        self.title = title
        self.stop = stop

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if self.stop.received is not None:
            line = (
                f"{self.title}: {self.stop.received}: stopped in the test, which is to be repeated"
            )
            leave(Stopped(line), get_rank() == 0)


def training_hooks(
    folder: Path,
    title: str,
    config: Any,
    schedule: Callable[[float], float],
    identity: dict[str, Any],
    stop: StopSignals | None = None,
) -> tuple[list[Hook], LogHook]:
    """What every run has around its steps, and the log among it.

    Args:
        folder: run folder.
        title: what lines on screen start with.
        config: `seed`, `epochs`, `batch_size`, `log_interval`, `checkpoint_interval` and
            `keep_checkpoints` of the run.
        schedule: see `StepHook`.
        identity: of the run, as in `Checkpoint`.
        stop: see `CheckpointHook`; None: nothing asks for a stop.
    """
    stop = stop or StopSignals()
    log = LogHook(folder, title, config.log_interval, config.batch_size)
    checkpoint = CheckpointHook(
        folder,
        config.checkpoint_interval,
        config.keep_checkpoints,
        identity,
        log,
        stop,
    )
    step = StepHook(config.seed, config.epochs, schedule)
    return [step, NonFiniteHook(), log, checkpoint, StopTestHook(title, stop)], log
