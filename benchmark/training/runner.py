"""mmengine's Runner, wired to parts that are built already and to our own checkpoints.

This is the only module that touches private attributes of mmengine's runner and loops: it has no
public way to build a loop without running it, nor to set where a resumed one starts.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from mmengine.runner import Runner as MMEngineRunner
from torch import nn
from torch.utils.data import DataLoader

from benchmark.device import choose_algorithms, uses_gpu
from benchmark.device import device as choose_device
from benchmark.errors import InputError
from benchmark.openmmlab.quiet import LibraryState
from benchmark.training.accumulation import training_step, unwrap
from benchmark.training.distributed.signals import leave_process_group
from benchmark.training.hooks import LogHook, build_hooks
from benchmark.training.hooks.visualizer import visualizer_config
from benchmark.training.run import Run
from benchmark.weights import load_strict


class AccumulatingLoop(EpochBasedTrainLoop):
    """mmengine's epoch loop, with an optimiser step over several parts as its iteration."""

    def run_iter(self, idx: int, data_batch: Any) -> None:
        runner = self.runner
        runner.call_hook("before_train_iter", batch_idx=idx, data_batch=data_batch)
        outputs = training_step(runner.model, data_batch, runner.optim_wrapper)
        runner.call_hook("after_train_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1


def count_epoch(loop: EpochBasedTrainLoop) -> None:
    """Let a loop whose steps are taken one by one know that an epoch has ended."""
    loop._epoch += 1


class Runner(MMEngineRunner):
    """Epoch loop, hook dispatch, distributed wrapper and evaluation loops of mmengine.

    Args:
        run: what is executed; its `checkpoint` is resumed.
        model: what is trained, on any device.
        loader: training batches.
        optimizer: optimiser of the model's parameters; None to evaluate only.
        evaluation: `loader` and `metric` of the test set, or None.
        scope: mmengine scope in which names inside library modules are looked up.

    Attributes:
        libraries: what mmengine keeps for this run; has to be entered to call methods other than
            `train` and `test`.
    """

    def __init__(
        self,
        run: Run,
        model: nn.Module,
        loader: DataLoader | None = None,
        optimizer: OptimWrapper | None = None,
        evaluation: tuple[DataLoader, Any] | None = None,
        scope: str = "mmengine",
    ) -> None:
        distributed = torch.distributed.is_initialized()
        self.run = run
        training: dict[str, Any] = {}
        if optimizer is not None:
            if loader.worker_init_fn is None:
                loader.worker_init_fn = leave_process_group
            epochs = run.config.epochs
            training = dict(
                train_dataloader=loader,
                train_cfg=dict(type=AccumulatingLoop, max_epochs=epochs, val_interval=epochs + 1),
                optim_wrapper=optimizer,
            )
        if evaluation is not None:
            training.update(
                test_dataloader=evaluation[0], test_cfg=dict(), test_evaluator=evaluation[1]
            )
        self.libraries = LibraryState()
        with self.libraries:
            super().__init__(
                model=model,
                # mmengine starts a folder of its own for every call; they stay out of the way.
                work_dir=str(run.folder / "mmengine"),
                **training,
                custom_hooks=build_hooks(run.config, None if loader is None else len(loader)),
                visualizer=visualizer_config(run),
                launcher="pytorch" if distributed else "none",
                env_cfg=dict(run.config.get("env_cfg") or {}),
                # The epoch loop warns about datasets without mmengine's metainfo; ours need none.
                log_level="ERROR",
                default_scope=scope,
                # Randomness is keyed per step by StepHook; this only fills mmengine's fields.
                randomness=dict(seed=0),
                experiment_name=run.folder.name,
            )

    @property
    def log(self) -> LogHook:
        """The log of the run."""
        return next(hook for hook in self.hooks if isinstance(hook, LogHook))

    def prepare(self) -> None:
        """Build the loop and resume what `run` says, for steps that are taken one by one."""
        self._train_loop = self.build_train_loop(self._train_loop)
        self.load_or_resume()
        self.model.train()

    def train(self) -> nn.Module:
        with self.libraries:
            return super().train()

    def test(self) -> dict[str, float]:
        """Metrics by name."""
        with self.libraries:
            return super().test()

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Move to the device; several processes share gradients, and batch statistics on GPUs."""
        if not self.distributed:
            return model.to(choose_device())
        # Gradients live in the buckets that are exchanged: one copy less. Every step uses the same
        # parameters, as the contract requires; but torch 2.11 fails with an assertion of its own
        # where a static graph meets parts whose gradients are not exchanged.
        optimizer = self.optim_wrapper
        shared: dict[str, Any] = dict(
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
            static_graph=optimizer is not None and optimizer.parts == 1,
        )
        if uses_gpu():
            device = torch.cuda.current_device()
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model.to(device))
            shared["device_ids"] = [device]
        return MMDistributedDataParallel(model, **shared)

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """mmengine's, which knows `cudnn_benchmark` only; without settings torch's stay."""
        super().setup_env(env_cfg)
        if env_cfg:
            choose_algorithms(**env_cfg)

    def register_default_hooks(self, hooks: dict[str, Any] | None = None) -> None:
        """mmengine's own are not used, see `DEFAULT_HOOKS`."""

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        """mmengine prints a page about the machine; the record of the run keeps it instead."""

    def dump_config(self) -> None:
        """`run.json` holds the resolved config."""

    def load_or_resume(self) -> None:
        """mmengine calls this once model, optimiser and loop exist; again before a test."""
        checkpoint = self.run.checkpoint
        if checkpoint is None or self._has_loaded:
            return
        # One line for a checkpoint of another version of the model, which --overwrite replaces.
        origin = self.run.folder / checkpoint.name
        load_strict(unwrap(self.model), checkpoint.model, origin)
        try:
            self.optim_wrapper.optimizer.load_state_dict(checkpoint.optimizer)
        except (ValueError, KeyError) as error:
            raise InputError(f"{origin}: does not fit the optimiser: {error}") from None
        self.train_loop._epoch = checkpoint.epoch
        self.train_loop._iter = checkpoint.step
        self._has_loaded = True
