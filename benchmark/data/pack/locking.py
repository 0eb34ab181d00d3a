"""Keeping two processes from writing the same files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmark.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: two writers are not kept apart there.
    fcntl = None


def _still_named(stream: IO[str], lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.stat(lock))
    except FileNotFoundError:
        return False


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold the file `lock` for the block; it is removed afterwards.

    Raises:
        InputError: another process holds it.
    """
    try:
        stream = open(lock, "w")  # noqa: SIM115
    except FileNotFoundError:  # The folder got its final name in the instant since it was seen.
        raise InputError(f"{lock.parent}: another process was writing here; run it again") from None
    with stream:
        if fcntl is not None:
            try:
                # A record lock: forked workers do not inherit it, so they cannot outlive it.
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{lock.parent}: another process is writing here") from None
            if not _still_named(stream, lock):
                # Its last holder has finished: this is a lock on a file that nobody else can see.
                raise InputError(f"{lock.parent}: another process was writing here; run it again")
        try:
            yield
        finally:
            if _still_named(stream, lock):
                lock.unlink()
