"""Memory of a process that trains: how it is kept on a CPU, and how much of it a step needs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterator

import torch
from torch.profiler import ProfilerActivity, profile

# Names and numbers of glibc's <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST_THRESHOLD = 32 * 2**20
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keep freed memory for the next step instead of giving it back to the system.

    By default glibc returns large blocks at once, and every step of a training has the system map
    and clear tens of thousands of pages anew. The peak stays the same. Blocks above 32 MiB, the
    most that glibc allows here, are still returned. On other systems nothing happens.

    Returns:
        Whether glibc took the settings.
    """
    if not hasattr(os, "confstr") or "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {_M_MMAP_THRESHOLD: _LARGEST_THRESHOLD, _M_TRIM_THRESHOLD: _NEVER}
    return all(mallopt(setting, value) == 1 for setting, value in settings.items())


def peak_allocation(work: Callable[[], object], device: torch.device) -> int:
    """Bytes of tensors that `work` holds at most on a device, beyond those it found there.

    Not counted are what libraries allocate for themselves, on a CPU the scratch of oneDNN; and what
    a CPU frees of the tensors that were there before.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with _without_remarks():
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
def _without_remarks() -> Iterator[None]:
    """Nothing on the screen of what torch's profiler remarks from C++; exceptions pass.

    It names every GPU that is missing, and the first tensor that it did not see begin.
    """
    sys.stderr.flush()
    screen, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(screen, 2)
        os.close(screen)
        os.close(nowhere)
