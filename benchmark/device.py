"""The device of models and batches: a GPU if there is one, unless the CPU is requested.

The only place that chooses a device. The choice is an environment variable, which child processes
inherit; the option ``--device`` of the tools sets it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmark.errors import InputError

if TYPE_CHECKING:
    import torch

VARIABLE = "ANGIO_DEVICE"
DEVICES = ("auto", "cpu", "cuda")
"""Values of the variable; ``auto``, the default, is a GPU if there is one."""


def wants_cpu() -> bool:
    """Whether the CPU is requested; does not import torch.

    Raises:
        InputError: the environment variable is not one of `DEVICES`.
    """
    choice = os.environ.get(VARIABLE) or "auto"
    if choice not in DEVICES:
        raise InputError(f"{VARIABLE}={choice}: expected {', '.join(DEVICES[:-1])} or cuda")
    return choice == "cpu"


def hide_gpus() -> None:
    """Hide GPUs from all libraries if the CPU is requested; to be called before torch is used."""
    if wants_cpu():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def uses_gpu() -> bool:
    """Whether models and batches are on a GPU.

    Raises:
        InputError: the environment variable is not one of `DEVICES`, or requests a GPU and torch
            finds none.
    """
    if wants_cpu():
        return False
    import torch

    found = torch.cuda.is_available()
    if not found and os.environ.get(VARIABLE) == "cuda":
        raise InputError(f"{VARIABLE}=cuda (--device cuda): torch finds no GPU; try check.py env")
    return found


def gpu_count() -> int:
    """How many GPUs torch finds here, whatever is requested."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device() -> torch.device:
    """The device of models and batches, the current one of several GPUs."""
    import torch

    return torch.device("cuda" if uses_gpu() else "cpu")


def device_name() -> str:
    """The product name of the GPU in use, or ``cpu``."""
    import torch

    return torch.cuda.get_device_name() if uses_gpu() else "cpu"


def precision(on_gpu: str) -> str:
    """The precision of training: `on_gpu` on a GPU, always ``fp32`` on a CPU."""
    return on_gpu if uses_gpu() else "fp32"


@contextmanager
def on_cpu() -> Iterator[None]:
    """Use the CPU within the block, also in processes started there."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "cpu"
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before


@contextmanager
def restored_threads() -> Iterator[None]:
    """Restore the number of CPU threads of torch after the block.

    It changes the last bits of sums: a later run in the same process would not be reproducible.
    """
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
