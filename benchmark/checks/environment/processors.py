"""GPUs, CPU cores, memory and limits, compared with the needs of the published recipe."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.checks.environment import Finding, amount, judged
from benchmark.device import VARIABLE, wants_cpu

if TYPE_CHECKING:
    import torch


#: Of the published recipe (configs/_base_/mim.py).
BATCH_SIZE, NUM_WORKERS = 2048, 4
PREFETCH = 2  # torch's default: batches ahead per loader process
_TENSORS = 4  # frame, valid, index, anatomy: each holds a file descriptor while in transit
_COPY_BYTES = 1 << 28
_SLOW_COPY = 4e9  # bytes per second; PCIe 3.0 ×16 reaches 12e9


def _nvidia_smi(field: str) -> list[str]:
    """One field of every GPU known to the driver; empty without a driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={field}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        return []
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else []


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Seconds per call, after one warm-up call."""
    import torch

    for _ in range(2):
        torch.cuda.synchronize(device)
        start = time.perf_counter()
        work()
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _copy_rate(device: torch.device) -> float:
    """Bytes per second from pinned host memory to the device."""
    import torch

    host = torch.empty(_COPY_BYTES, dtype=torch.uint8, pin_memory=True)
    target = torch.empty_like(host, device=device)
    return _COPY_BYTES / _seconds(lambda: target.copy_(host, non_blocking=True), device)


def _product_rate(device: torch.device, side: int = 8192, times: int = 10) -> float:
    """FLOP/s of products of bf16 matrices, side×side."""
    import torch

    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    seconds = _seconds(lambda: [matrix @ matrix for _ in range(times)], device)
    return 2 * side**3 * times / seconds


def _examine_gpu(number: int) -> Iterator[Finding]:
    import torch

    device = torch.device("cuda", number)
    facts = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    capability = f"{facts.major}.{facts.minor}"
    value = f"{facts.name}, {amount(total)}, {amount(free)} free, capability {capability}"
    advice = "other processes use this GPU: expect slow steps or out of memory; see nvidia-smi"
    yield judged(f"gpu {number}", value, free > 0.8 * total, advice)
    if facts.major >= 8:
        rate = f"{_product_rate(device) / 1e12:.0f} TFLOP/s in matrix products"
        yield Finding(f"gpu {number}, bf16", rate)
    else:
        advice = "bf16 needs capability 8.0; train with --cfg-options precision=fp32"
        yield Finding(f"gpu {number}, bf16", "emulated", "slow", advice)
    copied = _copy_rate(device)
    advice = "batches will arrive late: too few PCIe lanes, or a busy host"
    value = f"{copied / 1e9:.1f} GB/s from pinned memory"
    yield judged(f"gpu {number}, copies", value, copied > _SLOW_COPY, advice)


def examine_gpus() -> Iterator[Finding]:
    """Versions of CUDA, cuDNN and NCCL, every GPU, and peer access between GPUs."""
    import torch

    if wants_cpu():
        advice = f"{VARIABLE}=cpu keeps everything off the GPUs; unset it to use them"
        yield Finding("device", "cpu", "slow", advice)
        return
    cuda = torch.version.cuda
    known = _nvidia_smi("driver_version")
    if not torch.cuda.is_available():
        if known and cuda is None:
            advice = "this torch was built without CUDA; install the lock with make setup"
            yield Finding("gpu", f"{len(known)}, not used", "missing", advice)
        elif known:
            advice = f"torch needs a driver for CUDA {cuda}, or CUDA_VISIBLE_DEVICES hides the GPUs"
            yield Finding("gpu", f"{len(known)}, driver {known[0]}", "missing", advice)
        else:
            advice = (
                "pre-training at scale paper would take months on CPUs; --scale small and "
                "--scale tiny are made for them"
            )
            yield Finding("gpu", "none", "slow", advice)
        return
    cudnn = torch.backends.cudnn.version()
    nccl = ".".join(map(str, torch.cuda.nccl.version()))
    yield Finding("cuda", f"{cuda}, driver {known[0] if known else 'unknown'}")
    value = f"cuDNN {cudnn // 10000}.{cudnn // 100 % 100}.{cudnn % 100}, NCCL {nccl}"
    yield Finding("libraries", value)
    count = torch.cuda.device_count()
    for number in range(count):
        yield from _examine_gpu(number)
    if count > 1:
        reached = [
            torch.cuda.can_device_access_peer(*pair) for pair in permutations(range(count), 2)
        ]
        advice = "gradients pass through host memory; train with fewer GPUs per run"
        value = f"{sum(reached)} of {len(reached)} ordered pairs"
        yield judged("peer access", value, all(reached), advice)


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """CPU cores available to this process: its affinity, limited by the quota of its container."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not cgroup.is_file():
        return float(bound or 1)
    quota, period = cgroup.read_text(encoding="ascii").split()
    return float(bound) if quota == "max" else min(float(bound), int(quota) / int(period))


def examine_cpu(processes: int = 1) -> Iterator[Finding]:
    """Cores, threads and load.

    Args:
        processes: training processes on this machine, one per GPU.
    """
    import torch

    cores, all_cores = usable_cores(), os.cpu_count()
    wanted = processes * (1 + NUM_WORKERS)
    advice = (
        f"{processes} training and {processes * NUM_WORKERS} loader processes share them; set "
        "--cfg-options num_workers=1, or keep the frames in memory with resident=True"
    )
    value = f"{cores:g} usable of {all_cores}"
    yield judged("cpu cores", value, processes == 0 or cores >= wanted, advice)
    threads = torch.get_num_threads()
    advice = f"more threads than cores; export OMP_NUM_THREADS={max(1, int(cores))} or less"
    yield judged("torch threads", f"{threads}", threads <= max(1, cores), advice)
    load = os.getloadavg()[0]
    advice = "other processes use the cores: training will be slow, and the rates below are too low"
    yield judged("load", f"{load:.1f} in the last minute", load <= 0.5 * cores, advice)


def usable_memory(cgroup: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """Total and free memory available to this process, in bytes."""
    if not Path("/proc/meminfo").is_file():  # not Linux: free memory is unknown
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return total, total
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    kibibytes = {name: int(size) for name, size, *_ in map(str.split, lines)}
    total, free = kibibytes["MemTotal:"] * 1024, kibibytes["MemAvailable:"] * 1024
    limit, used = cgroup / "memory.max", cgroup / "memory.current"
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()) != "max":
        total = min(total, int(text))
        free = min(free, max(0, total - int(used.read_text())))
    return total, free


def examine_memory(pack_bytes: int) -> Finding:
    """Host memory, compared with the size of the packs."""
    total, free = usable_memory()
    advice = (
        f"the packs ({amount(pack_bytes)}) do not fit: every epoch reads from the disk; build "
        "smaller ones with tools/prepare_data.py --size 256, or use a machine with more memory"
    )
    value = f"{amount(total)}, {amount(free)} free"
    return judged("memory", value, pack_bytes < 0.9 * free, advice)


def shared_memory_needed(processes: int, frame_bytes: int) -> int:
    """Bytes of /dev/shm taken by batches of the published recipe in transit."""
    return processes * NUM_WORKERS * PREFETCH * (BATCH_SIZE // processes) * frame_bytes


def examine_limits(processes: int, frame_bytes: int) -> Iterator[Finding]:
    """Shared memory and open files, which loader processes exhaust.

    Args:
        processes: training processes on this machine, which share a batch.
        frame_bytes: bytes of one frame and its vessel mask.
    """
    import resource

    shared = Path("/dev/shm")
    if shared.is_dir():
        free, needed = shutil.disk_usage(shared).free, shared_memory_needed(processes, frame_bytes)
        advice = (
            f"the published recipe holds {amount(needed)} of batches there; loader processes will "
            f"crash with a bus error; start the container with --shm-size={needed // 2**30 + 1}g, "
            "or train with --cfg-options num_workers=0"
        )
        value = f"{amount(free)} free"
        yield judged("shared memory", value, free >= needed, advice, "missing")
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 256 + NUM_WORKERS * PREFETCH * _TENSORS
    advice = f"loader processes need about {files} open files; run ulimit -n 4096 before training"
    value = "no limit" if limit == resource.RLIM_INFINITY else f"at most {limit}"
    yield judged("open files", value, limit < 0 or limit >= files, advice, "missing")


def examine_processors(gpus: int, frame_bytes: int, pack_bytes: int) -> Iterator[Finding]:
    """GPUs, CPU, memory and limits.

    Args:
        gpus: number of GPUs.
        frame_bytes: bytes of one frame and its vessel mask.
        pack_bytes: bytes of all packs.
    """
    yield from examine_gpus()
    yield from examine_cpu(gpus)
    yield examine_memory(pack_bytes)
    yield from examine_limits(max(1, gpus), frame_bytes)
