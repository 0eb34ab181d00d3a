"""Starting and leaving a process group, on GPUs (nccl) or CPUs (gloo)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from benchmark.device import uses_gpu
from benchmark.training.distributed.launch import Launch, launch, this_process
from benchmark.training.distributed.signals import NoGPU, RankSilent, leave
from benchmark.training.distributed.watchdog import Watchdog

# Collectives time out later than the watchdog, which can name the rank they wait for.
_LATER = timedelta(minutes=1)
_TIMED_OUT = re.compile(r"tim(ed |e)out|timed out", re.IGNORECASE)

_limit: timedelta | None = None


def _own_gpu(here: Launch) -> torch.device:
    count = torch.cuda.device_count()
    if here.local_rank >= count:
        line = (
            f"error: rank {here.rank} ({this_process()}) is process {here.local_rank + 1} on its "
            f"machine, where a process sees {count} GPU{'s'[: count != 1]}; start one process per "
            "GPU, all of which see all of them (no --gpus-per-task), or use --device cpu"
        )
        leave(NoGPU(line), speaks=here.local_rank == count)  # the first one without a GPU
    return torch.device("cuda", here.local_rank)


@contextmanager
def process_group(minutes: float = 30.0) -> Iterator[None]:
    """Join the processes torchrun started, if it did; leave them at the end.

    Raises:
        RankSilent: the others did not join within `minutes`, or a collective took longer.
        NoGPU: this machine has fewer GPUs than processes.
    """
    global _limit
    here = launch()
    if here is None:
        yield
        return
    _limit = timedelta(minutes=minutes) + _LATER
    try:
        if uses_gpu():
            device = _own_gpu(here)
            torch.cuda.set_device(device)
            dist.init_process_group("nccl", timeout=_limit, device_id=device)
        else:
            dist.init_process_group("gloo", timeout=_limit)
        with Watchdog(here, minutes):
            yield
    except RuntimeError as error:
        if not _TIMED_OUT.search(str(error)):
            raise
        line = (
            f"error: rank {here.rank} ({this_process()}) has waited {minutes:g} min for others "
            f"(timeout_minutes): {str(error).splitlines()[0]}"
        )
        leave(RankSilent(line), speaks=True)
    finally:
        _limit = None
        if dist.is_initialized():
            dist.destroy_process_group()


def cpu_group() -> dist.ProcessGroup:
    """A new gloo group of all processes, for collectives beside those of the training."""
    return dist.new_group(backend="gloo", timeout=_limit)


class CommonFlag:
    """A flag that all processes see raised at the same call, the one after any of them raised it.

    It is exchanged over gloo beside the training, and the answer of one call is only waited for in
    the next: neither a GPU nor the other processes delay a step. Created by all processes together.
    """

    def __init__(self) -> None:
        several = dist.is_initialized() and dist.get_world_size() > 1
        self._group = cpu_group() if several else None
        self._value = torch.zeros(1, dtype=torch.int32)
        self._work: dist.Work | None = None

    def seen(self, raised: bool) -> bool:
        """Whether to act on the flag, which this process may raise; called by all equally often."""
        if self._group is None:
            return raised
        earlier = self.settle()
        self._value = torch.tensor([raised], dtype=torch.int32)
        self._work = dist.all_reduce(
            self._value, op=dist.ReduceOp.MAX, group=self._group, async_op=True
        )
        return earlier

    def settle(self) -> bool:
        """Wait for the pending all-reduce, and return its result."""
        if self._work is not None:
            self._work.wait()
            self._work = None
        return bool(self._value.item())

    def wait_for_all(self) -> None:
        """Return when all processes have called this."""
        if self._group is not None:
            dist.barrier(group=self._group)
