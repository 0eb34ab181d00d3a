"""Locks that children keep and that end with whoever holds them, a kill included.

`benchmark.locking` keeps one process out of another's files; these may outlive the process that
took them, and are seen from the other machines of a cluster.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from benchmark.files import UNSUPPORTED, naming, note_once
from benchmark.locking import describe_holder, open_lock, read_holder, still_named, write_holder

try:
    import fcntl
except ImportError:  # Windows: heartbeats alone tell who is running.
    fcntl = None

HEARTBEAT = 20.0
"""Seconds between two signs of life of a job."""

SILENCE = 120.0
"""Seconds without a sign of life after which a job on another machine counts as dead."""

_POLL = 0.5

Waiting = Callable[[str], None]
"""Told every half second who holds what is waited for; may raise to give up."""


def take(path: Path) -> IO[str] | None:
    """The open file `path` with its lock; None if somebody else holds it.

    The lock is released when the last process that has the file open closes it or dies. A child
    that was given the descriptor (``pass_fds``) keeps it: it may outlive its parent. On a file
    system without locks, only signs of life keep others out.

    Raises:
        InputError: `path` is no regular file.
        OSError: it is a link, or cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with ExitStack() as stack, naming(path):
            stream = stack.enter_context(open_lock(path))
            locked = _lock(stream)
            if locked is False or _beats(stream, locked):
                return None
            if still_named(stream, path):  # else it was removed since it was opened
                write_holder(stream)
                stack.pop_all()
                return stream


def _lock(stream: IO[str], shared: bool = False) -> bool | None:
    """Whether the lock was free and is held now; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # Some file systems of clusters are mounted without.
        if error.errno in UNSUPPORTED:
            note_once("locks", f"{stream.name}: no locks on this file system")
            return None
        raise
    return True


def _beats(stream: IO[str], locked: bool | None) -> bool:
    """Whether somebody whom no lock shows has given a sign of life."""
    holder = read_holder(stream)
    if holder is None or (locked and holder["host"] == socket.gethostname()):
        return False
    # Not every shared file system shows the locks of another machine; its clock may be ahead.
    return abs(time.time() - os.fstat(stream.fileno()).st_mtime) < SILENCE


def is_running(path: Path) -> bool:
    """Whether a process holds `path`: by its lock here, elsewhere by its heartbeat.

    Raises:
        InputError: `path` is no regular file.
        OSError: it is a link, or cannot be read.
    """
    try:
        stream = open_lock(path, write=False)
    except FileNotFoundError:
        return False
    with stream, naming(path):
        locked = _lock(stream, shared=True)
        return locked is False or _beats(stream, locked)


def remove_free(path: Path) -> None:
    """Remove a lock that nobody holds."""
    if not is_running(path) and (stream := take(path)) is not None:
        with stream:
            path.unlink(missing_ok=True)


@contextmanager
def claim(path: Path, waiting: Waiting | None = None) -> Iterator[int]:
    """Hold `path` for the block, after whoever holds it now; yields the file descriptor.

    Meanwhile the file names the process and is touched every `HEARTBEAT` seconds; afterwards it is
    empty.

    Raises:
        InputError, OSError: as `take`.
    """
    while (stream := take(path)) is None:
        if waiting is not None:
            waiting(holder_of(path))
        time.sleep(_POLL)
    stop = threading.Event()
    with stream:
        beat = threading.Thread(target=_beat, args=(stream.fileno(), stop), daemon=True)
        beat.start()
        try:
            yield stream.fileno()
        finally:
            stop.set()
            beat.join()
            stream.truncate(0)


def holder_of(path: Path) -> str:
    """Who holds a lock, in words."""
    try:
        with open_lock(path, write=False) as stream:
            return describe_holder(read_holder(stream))
    except FileNotFoundError:  # not any more
        return describe_holder(None)


def _beat(descriptor: int, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT):
        # One that is missed, on a network drive that is away, costs nothing.
        with suppress(OSError):
            os.utime(descriptor)
