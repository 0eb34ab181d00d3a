"""Checkpoints at regular intervals, and what happens when a signal asks for a stop."""

from __future__ import annotations

from typing import Any

from mmengine.dist import get_rank
from mmengine.hooks import Hook

from benchmark.registry import HOOKS
from benchmark.training.accumulation import unwrap
from benchmark.training.checkpoints.checkpoint import Checkpoint, save_checkpoint
from benchmark.training.distributed import watchdog
from benchmark.training.distributed.setup import CommonFlag
from benchmark.training.distributed.signals import Stopped, leave


@HOOKS.register_module()
class CheckpointHook(Hook):
    """A checkpoint every `interval` epochs and at the end, and when a signal asks for a stop.

    After a signal the current step is finished, the same one on all processes; then the state is
    saved, also within an epoch, and the run ends. Otherwise a step only checks a flag. The main
    process writes.

    Args:
        interval: epochs between two checkpoints.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.stopping = False

    def before_train(self, runner: Any) -> None:
        self._flag = CommonFlag()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        step = runner.iter + 1
        self.stopping = self._flag.seen(runner.run.stop.received is not None) or self.stopping
        if self.stopping and step % len(runner.train_dataloader):  # else the epoch is over
            self._save(runner, runner.epoch, step, within=True)
            self._leave(runner, step)
        watchdog.note(2 * step + 1, f"loading the batch of step {step + 1}")

    def after_train_epoch(self, runner: Any) -> None:
        epoch = runner.epoch + 1
        last = epoch == runner.max_epochs
        if self.stopping or last or epoch % self.interval == 0:
            self._save(runner, epoch, runner.iter, within=False)
        if self.stopping and not last:  # at the end, finishing is as quick
            self._leave(runner, runner.iter)

    def after_train(self, runner: Any) -> None:
        self._flag.settle()

    def _save(self, runner: Any, epoch: int, step: int, within: bool) -> None:
        run, log = runner.run, runner.log
        log.read(runner)
        if get_rank():
            return
        watchdog.note(2 * step + (not within), f"saving a checkpoint after step {step}")
        log.flush()
        checkpoint = Checkpoint(
            epoch=epoch,
            step=step,
            identity=run.identity,
            seconds=run.seconds,
            device_seconds=run.device_seconds,
            model=unwrap(runner.model).state_dict(),
            optimizer=runner.optim_wrapper.optimizer.state_dict(),
            log=log.state(),
            within=within,
        )
        save_checkpoint(run.folder, checkpoint, run.config.keep_checkpoints)

    def _leave(self, runner: Any, step: int) -> None:
        watchdog.note(2 * step + 1, "waiting for the others to stop, too")
        self._flag.settle()
        # Launchers end the others as soon as one process has left.
        self._flag.wait_for_all()
        run, steps = runner.run, runner.max_iters
        reason = run.stop.received or "a signal to another process"
        line = f"{run.title}: {reason}: saved after step {step} of {steps}, to be resumed"
        leave(Stopped(line), get_rank() == 0)


@HOOKS.register_module()
class StopTestHook(Hook):
    """A signal during a test ends it: the training is saved, and a partial test has no scores."""

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        run = runner.run
        if run.stop.received is not None:
            line = f"{run.title}: {run.stop.received}: stopped in the test, which will be repeated"
            leave(Stopped(line), get_rank() == 0)
