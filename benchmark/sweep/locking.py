"""Locks that end with whoever holds them, a kill included."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows: heartbeats alone tell who is running.
    fcntl = None

HEARTBEAT = 20.0
"""Seconds between two signs of life of a job."""

SILENCE = 120.0
"""Seconds without a sign of life after which a job on another machine counts as dead."""

_POLL = 0.5


def take(path: Path) -> IO[str] | None:
    """The open file `path` with its lock; None if somebody else holds it.

    The lock is released when the last process that has the file open closes it or dies. A child
    that was given the descriptor (``pass_fds``) keeps it: it may outlive its parent. On a file
    system without locks nobody is kept out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = open(path, "a+", encoding="utf-8")  # noqa: SIM115
    if _lock(stream) is False:
        stream.close()
        return None
    return stream


def _lock(stream: IO[str]) -> bool | None:
    """Whether the lock was free and is held now; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # Some file systems of clusters are mounted without.
        if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
            return None
        raise
    return True


def is_running(path: Path) -> bool:
    """Whether a job lives that claimed `path`: by its lock here, elsewhere by its heartbeat."""
    holder = _holder(path)
    if holder is None:
        return False
    # Not every shared file system shows the locks of another machine.
    if holder.get("host") == socket.gethostname():
        with open(path, encoding="utf-8") as stream:
            held = _lock(stream)
        if held is not None:
            return not held
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime < SILENCE
    return False


def _holder(path: Path) -> dict[str, object] | None:
    """Who claimed `path` last and has not given it back."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        holder = json.loads(text) if text else None
    except json.JSONDecodeError:  # it is being written at this moment
        return {"host": socket.gethostname()}
    return holder


@contextmanager
def claim(path: Path) -> Iterator[int]:
    """Hold `path` for the block, after whoever holds it now; yields the file descriptor.

    Meanwhile the file names the host and is touched every `HEARTBEAT` seconds; afterwards it is
    empty.
    """
    stream = None
    while stream is None:
        while is_running(path):
            time.sleep(_POLL)
        stream = take(path)
    stop = threading.Event()
    with stream:
        stream.truncate(0)
        stream.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        stream.flush()
        beat = threading.Thread(target=_beat, args=(path, stop), daemon=True)
        beat.start()
        try:
            yield stream.fileno()
        finally:
            stop.set()
            beat.join()
            stream.truncate(0)


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT):
        os.utime(path)
