"""Which GPUs this machine lends to the jobs of a sweep, each to one job at a time."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmark.device import wants_cpu
from benchmark.sweep.locking import take

_POLL = 0.5

# An index, or the beginning of a UUID.
_GPU = re.compile(r"\d+|(?:GPU|MIG)-\S+")


def visible_gpus() -> list[str]:
    """Names for ``CUDA_VISIBLE_DEVICES`` of the GPUs a job may get; empty on a machine without.

    Those that the variable allows where it is set, otherwise all that the driver lists; none where
    the CPU is asked for (`benchmark.device`). As CUDA does, the list ends at the first name that is
    none (``-1``, ``NoDevFiles``), and one that names a GPU twice allows none.
    """
    if wants_cpu():
        return []
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        names = (name.strip() for name in allowed.split(","))
        valid = list(itertools.takewhile(_GPU.fullmatch, names))
        return valid if len(set(valid)) == len(valid) else []
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return []  # no driver, no GPU
    return done.stdout.split()


def lock_folder() -> Path:
    """Where the locks of this machine's GPUs lie: one place for all sweeps of a user."""
    return Path(tempfile.gettempdir()) / f"angio-ssl-bench-{os.getuid()}"


@contextmanager
def lend(names: Sequence[str], count: int) -> Iterator[tuple[list[str], list[int]]]:
    """Hold `count` of these GPUs for the block, as soon as so many are free.

    Yields:
        Their names, and the descriptors of their locks for ``pass_fds``: the GPU stays taken while
        the process that computes on it lives.

    Raises:
        ValueError: there are fewer than `count`.
    """
    if count > len(names):
        raise ValueError(f"{count} GPUs wanted, {len(names)} there")
    while True:
        with ExitStack() as stack:
            held: dict[str, int] = {}
            for name in names:
                if len(held) == count:
                    break
                stream = take(lock_folder() / f"gpu-{name.replace('/', '_')}.lock")
                if stream is not None:
                    held[name] = stack.enter_context(stream).fileno()
            if len(held) == count:
                yield list(held), list(held.values())
                return
        # Some, but not enough: others may need just those.
        time.sleep(_POLL)
