"""Keeping two processes from writing the same files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: two writers are not kept apart there.
    fcntl = None


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold the file `lock` for the block; it is removed afterwards.

    Raises:
        InputError: another process holds it.
    """
    with open(lock, "w") as stream:
        if fcntl is not None:
            try:
                # A record lock: forked workers do not inherit it, so they cannot outlive it.
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{lock.parent}: another process is writing here") from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
