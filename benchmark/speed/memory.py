"""Peak memory of a training step."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

import torch
from torch.profiler import ProfilerActivity, profile


def peak_allocation(work: Callable[[], object], device: torch.device) -> int:
    """Peak memory of the tensors that `work` allocates on a device, in bytes.

    On a CPU, scratch memory that libraries such as oneDNN allocate is not counted, nor is freeing
    a tensor that existed before.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with _silenced_stderr():
        settings = dict(profile_memory=True, acc_events=True)
        with profile(activities=[ProfilerActivity.CPU], **settings) as record:
            work()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


@contextlib.contextmanager
def _silenced_stderr() -> Iterator[None]:
    """Drop what torch's profiler prints from C++; exceptions pass.

    It warns about missing GPUs and about the first tensor whose allocation it did not see.
    """
    sys.stderr.flush()
    stderr, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)
