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


def choose_algorithms(cudnn_benchmark: bool = False, deterministic: bool = False) -> None:
    """Which algorithms torch and its libraries may use on a GPU, for the rest of the process.

    Args:
        cudnn_benchmark: cuDNN times the algorithms of a convolution at its first call, and takes
            the fastest. Another process may find another one, whose last bits differ.
        deterministic: only those that give the same bits every time. Torch warns of an operation
            that has none, and uses what there is. Attention is then computed without its fused
            kernels, in memory quadratic in the number of tokens.

    Raises:
        InputError: both.
    """
    import torch

    if cudnn_benchmark and deterministic:
        raise InputError(
            "env_cfg: deterministic=True keeps to one algorithm, cudnn_benchmark=True tries "
            "several; set env_cfg to one of the two, as in env_cfg={'deterministic': True}"
        )
    torch.backends.cudnn.benchmark = cudnn_benchmark
    torch.backends.cudnn.deterministic = deterministic
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    if deterministic:
        # cuBLAS reads it when it is first used; torch asks for it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        if uses_gpu():
            # With `warn_only`, torch leaves the gradients of its fused kernels to atomics.
            _fuse_attention(False, False, False)


def _fused_attention() -> tuple[bool, bool, bool]:
    """Whether torch may use the fused attention of FlashAttention, xFormers and cuDNN."""
    import torch

    cuda = torch.backends.cuda
    return cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.cudnn_sdp_enabled()


def _fuse_attention(flash: bool, mem_efficient: bool, cudnn: bool) -> None:
    import torch

    torch.backends.cuda.enable_flash_sdp(flash)
    torch.backends.cuda.enable_mem_efficient_sdp(mem_efficient)
    torch.backends.cuda.enable_cudnn_sdp(cudnn)


@contextmanager
def restored_settings() -> Iterator[None]:
    """Restore the number of CPU threads of torch and its choice of algorithms after the block.

    They change the last bits of sums: a later run in the same process would not be reproducible.
    """
    import torch

    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    chosen = cudnn.benchmark, cudnn.deterministic
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    fused = _fused_attention()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cudnn.benchmark, cudnn.deterministic = chosen
        torch.use_deterministic_algorithms(deterministic, warn_only=warns)
        _fuse_attention(*fused)
