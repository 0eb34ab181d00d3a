"""One training step on two processes of this machine, to be compared with that of one."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from torch import Tensor

from benchmark.device import on_cpu
from benchmark.method import Progress
from benchmark.openmmlab.mmcv_ops import install_mmcv_ops
from benchmark.training.accumulation import training_step, unwrap
from benchmark.training.config import from_plain
from benchmark.training.train import TrainingParts, assemble

_LIMIT = 1800.0
"""Seconds a step may take, including building its method."""

StepResult = tuple[dict[str, float], dict[str, Tensor]]
"""The terms of the loss, and the gradient of every trained parameter."""


def step_gradients(
    parts: TrainingParts, dtype: torch.dtype = torch.float64, device: str | torch.device = "cpu"
) -> StepResult:
    """Take the first step of a run; return what the optimiser was given.

    In a process group the model is wrapped as for training, and gradients are shared.

    Args:
        dtype: of the weights. In single precision, batch norms over a few samples amplify rounding
            to a part in a thousand.
    """
    method, config = parts.method.to(device, dtype), parts.config
    method.train()
    method.progress = Progress(config.seed, 0, config.epochs, 0, len(parts.loader))
    parts.loader.batch_sampler.set_epoch(0)
    gradients: dict[str, Tensor] = {}

    def keep(*_: Any) -> None:
        for name, parameter in method.named_parameters():
            if parameter.requires_grad and parameter.grad is not None:
                gradients[name] = parameter.grad.detach().clone()

    optimizer = parts.optimizer
    handle = optimizer.optimizer.register_step_pre_hook(keep)
    model = method
    if torch.distributed.is_initialized():
        model = MMDistributedDataParallel(method, broadcast_buffers=False)
    optimizer.initialize_count_status(unwrap(model), 0, 1)
    batch = {name: value.to(device) for name, value in next(iter(parts.loader)).items()}
    terms = training_step(model, batch, optimizer)
    handle.remove()
    return {name: value.item() for name, value in terms.items()}, gradients


def _serve(rank: int, rendezvous: str, pipe: Connection) -> None:
    """Take steps on request, until the pipe is closed."""
    torch.set_num_threads(1)
    install_mmcv_ops()  # before a config names classes of mmpretrain
    torch.distributed.init_process_group(
        "gloo", f"file://{rendezvous}", rank=rank, world_size=2, timeout=timedelta(seconds=_LIMIT)
    )
    while (content := pipe.recv()) is not None:
        try:
            parts = assemble(Config(from_plain(content)), rank, 2)
            terms, gradients = step_gradients(parts)
            pipe.send((terms, {name: value.numpy() for name, value in gradients.items()}))
        except Exception as error:
            pipe.send(f"{type(error).__name__}: {error}")
    torch.distributed.destroy_process_group()


class ProcessPair:
    """Two processes joined by gloo, on the CPU: started at the first request, ended by `with`."""

    def __init__(self) -> None:
        self._workers: list[tuple[Connection, multiprocessing.process.BaseProcess]] = []

    def __enter__(self) -> ProcessPair:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        # Forking this process would copy the state of torch's threads. A process without any forks
        # instead; it has loaded what takes longest, and nothing that depends on this project.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["timm", "torch.distributed.optim"])
        self._folder = tempfile.TemporaryDirectory()
        rendezvous = str(Path(self._folder.name) / "rendezvous")
        for rank in range(2):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(rank, rendezvous, theirs), daemon=True)
            with on_cpu():
                process.start()
            self._workers.append((ours, process))

    def gradients(self, content: dict[str, Any]) -> list[StepResult]:
        """`step_gradients` of each process, for a config as `to_plain` gives it.

        Raises:
            RuntimeError: the step failed in a process, or took too long.
        """
        if not self._workers:
            self._start()
        for pipe, _ in self._workers:
            pipe.send(content)
        answers = []
        until = time.monotonic() + _LIMIT
        for pipe, process in self._workers:
            while not pipe.poll(1):
                if not process.is_alive():
                    raise RuntimeError(f"a process ended with exit code {process.exitcode}")
                if time.monotonic() > until:
                    self.close()
                    raise RuntimeError(f"process {process.pid} did not answer in {_LIMIT:g} s")
            answers.append(pipe.recv())
        failed = [answer for answer in answers if isinstance(answer, str)]
        if failed:
            # The other process may still wait for this one in a collective.
            self.close()
            raise RuntimeError(failed[0])
        return [
            (terms, {name: torch.from_numpy(value) for name, value in gradients.items()})
            for terms, gradients in answers
        ]

    def close(self) -> None:
        """End the processes; a later request starts others."""
        for pipe, process in self._workers:
            if process.is_alive():
                pipe.send(None)
            process.join(5)
            if process.is_alive():
                process.kill()  # a stopped process reacts to nothing else
            pipe.close()
        if self._workers:
            self._folder.cleanup()
        self._workers = []
