"""The GPUs of this machine, each lent to one job of a sweep at a time."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from benchmark.device import wants_cpu
from benchmark.errors import InputError, explain_os_error
from benchmark.files.locking import OnWait, holder_of, try_acquire

_POLL = 0.5

# An index, or the beginning of a UUID.
_GPU = re.compile(r"\d+|(?:GPU|MIG)-\S+")


def visible_gpus() -> list[str]:
    """Names for ``CUDA_VISIBLE_DEVICES`` of the GPUs a job may get; empty without GPUs.

    Those that the variable allows where it is set, otherwise all that the driver lists; none where
    the CPU is requested (`benchmark.device`). As in CUDA, the list ends at the first invalid name
    (``-1``, ``NoDevFiles``), and a duplicate makes all of it invalid.
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
    """The folder of the locks of this machine's GPUs, shared by all sweeps of a user.

    It must be private: where others may write, they could hold the locks or replace them by links.
    Not XDG_RUNTIME_DIR, which is removed with the last session; a sweep may outlive it.

    Raises:
        InputError: it is a link, belongs to somebody else, is open to others, or cannot be made.
    """
    state = os.environ.get("XDG_STATE_HOME", "")
    # Machines may share a home.
    host = socket.gethostname().replace("/", "_")
    try:
        folder = Path(state) if os.path.isabs(state) else Path("~/.local/state").expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("angio-ssl-bench", "gpus", host):
            folder = folder / name
            problem = _make_private(folder)
            if problem:
                break
        else:
            return folder
        problem = f"{folder}: {problem}"
    except OSError as error:
        problem = explain_os_error(error)
    except RuntimeError as error:  # no home
        problem = str(error)
    raise InputError(f"{problem}; or set XDG_STATE_HOME to a folder of your own")


def _make_private(folder: Path) -> str:
    """Make a folder that nobody else may enter; returns what is wrong with an existing one."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return "not a folder of yours; remove it"
    if stat.S_IMODE(found.st_mode) & 0o077:
        return f"others may enter it; chmod 700 {shlex.quote(str(folder))}"
    return ""


@contextmanager
def lend(
    names: Sequence[str], count: int, on_wait: OnWait | None = None
) -> Iterator[tuple[list[str], list[int]]]:
    """Hold `count` of these GPUs (at most all) for the block, as soon as that many are free.

    Yields:
        Their names, and the descriptors of their locks for ``pass_fds``: the GPU stays taken while
        the process that computes on it lives.

    Raises:
        InputError: as `lock_folder`.
    """
    folder = lock_folder() if count else Path()
    while True:
        with ExitStack() as stack:
            held: dict[str, int] = {}
            busy = []
            for name in names:
                if len(held) == count:
                    break
                path = folder / f"gpu-{name.replace('/', '_')}.lock"
                if (stream := try_acquire(path)) is not None:
                    held[name] = stack.enter_context(stream).fileno()
                    stack.callback(stream.truncate, 0)
                else:
                    busy.append(f"GPU {name}: {holder_of(path)}")
            if len(held) == count:
                yield list(held), list(held.values())
                return
        # Too few: they are released, as other jobs may need only those.
        if on_wait is not None:
            on_wait("; ".join(busy))
        time.sleep(_POLL)
