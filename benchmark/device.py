"""The device that models and batches are on: a GPU where there is one, unless the CPU is asked for.

Whatever chooses a device asks here. The choice is an environment variable, so that processes that
are started from this one share it; the option ``--device`` of the tools sets it.
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
"""Values of the variable; ``auto`` is the same as none: a GPU where there is one."""


def wants_cpu() -> bool:
    """Whether the CPU is asked for, whatever the machine has; needs no torch.

    Raises:
        InputError: the environment variable is none of `DEVICES`.
    """
    choice = os.environ.get(VARIABLE) or "auto"
    if choice not in DEVICES:
        raise InputError(f"{VARIABLE}={choice}: expected {', '.join(DEVICES[:-1])} or cuda")
    return choice == "cpu"


def hide_gpus() -> None:
    """Where the CPU is asked for, keep libraries off the GPUs that look for them by themselves.

    To be called before torch is used. Raises as `wants_cpu`.
    """
    if wants_cpu():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def uses_gpu() -> bool:
    """Whether models and batches are on a GPU.

    Raises:
        InputError: the environment variable is none of `DEVICES`, or asks for a GPU and torch finds
            none.
    """
    if wants_cpu():
        return False
    import torch

    found = torch.cuda.is_available()
    if not found and os.environ.get(VARIABLE) == "cuda":
        raise InputError(f"{VARIABLE}=cuda (--device cuda): torch finds no GPU; try check.py env")
    return found


def device() -> torch.device:
    """Where models and batches are; of several GPUs the current one. Raises as `uses_gpu`."""
    import torch

    return torch.device("cuda" if uses_gpu() else "cpu")


def device_name() -> str:
    """The product name of the GPU in use, or ``cpu``. Raises as `uses_gpu`."""
    import torch

    return torch.cuda.get_device_name() if uses_gpu() else "cpu"


def precision(on_gpu: str) -> str:
    """The number format of training here: `on_gpu` there, and on a CPU always ``fp32``."""
    return on_gpu if uses_gpu() else "fp32"


@contextmanager
def on_cpu() -> Iterator[None]:
    """Use the CPU within the block, also in processes that are started in it."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = "cpu"
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before


@contextmanager
def threads_given_back() -> Iterator[None]:
    """Leave torch the number of CPU threads it had before the block, whatever a run in it sets.

    The number changes the last bits of sums: a later run in the same process would not repeat.
    """
    import torch

    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)
