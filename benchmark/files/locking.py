"""Locks, and folders that are absent or complete.

A lock ends with its holder, even if that is killed, and names it. There are two kinds:

- `hold` keeps other processes from files for a block. It is a record lock, which forked workers do
  not inherit: they cannot outlive a killed run and block its successor.
- `acquire` is for the jobs of a sweep. Children that are given the descriptor keep the lock, so a
  job counts as running while its command lives, even if the process that started it was killed. A
  heartbeat shows the lock to the other machines of a cluster.

On a file system without locks, `hold` keeps nobody out and `acquire` relies on heartbeats.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from benchmark.errors import InputError
from benchmark.files import UNSUPPORTED, fsync_folder, naming, note_once, remove_written

try:
    import fcntl
except ImportError:  # Windows: as on a file system without locks.
    fcntl = None

LOCK = ".lock"
"""Name of the lock in a folder that is written in place."""

HEARTBEAT = 20.0
"""Seconds between two heartbeats of an acquired lock."""

SILENCE = 120.0
"""Seconds without a heartbeat after which a holder on another machine counts as dead."""

OnWait = Callable[[str], None]
"""Called every half second of waiting with the holder of the lock; may raise to give up."""

_MOST_BYTES = 4096
_POLL = 0.5

# A process is never refused its own record lock: what this one holds is kept here, by its id,
# since forked children inherit the table but no lock.
_held: set[tuple[int, str]] = set()


@contextmanager
def hold(lock: Path, folder: Path, doing: str) -> Iterator[None]:
    """Hold the file `lock` for the block, and remove it afterwards.

    Args:
        lock: file in a folder that exists; the block must not remove it.
        folder: what it stands for, named in the error.
        doing: what its holder does with `folder`, as ``"being trained"``.

    Raises:
        InputError: another process holds it, or this one does already; the message names the
            process, its host and since when.
    """
    key = (os.getpid(), os.path.realpath(lock))
    if key in _held:
        raise InputError(f"{folder}: is {doing} by this process already")
    with _locked(lock, folder, doing) as stream:
        _held.add(key)
        try:
            yield
        finally:
            _held.discard(key)
            if _still_named(stream, lock):
                lock.unlink()


@contextmanager
def _locked(lock: Path, folder: Path, doing: str) -> Iterator[IO[str]]:
    """The open file, with its record lock where there are locks."""
    while True:
        with _open_lock(lock) as stream:
            locked = _lock(stream, lock, kept_by_children=False)
            if locked is False:
                holder = _describe(_read_holder(stream))
                raise InputError(
                    f"{folder}: is {doing} by {holder}; wait until it has ended, or stop it"
                )
            if locked:
                if not _still_named(stream, lock):
                    continue  # its last holder has finished and removed it since it was opened
                if os.fstat(stream.fileno()).st_size and not _read_holder(stream):
                    raise InputError(f"{lock}: exists and is not a lock of ours; move it")
                _write_holder(stream)
            yield stream
            return


@contextmanager
def acquire(path: Path, on_wait: OnWait | None = None) -> Iterator[int]:
    """Hold `path` for the block, once it is free; yields the file descriptor.

    Meanwhile the file names the process and is touched every `HEARTBEAT` seconds; afterwards it is
    empty.

    Raises:
        InputError, OSError: as `try_acquire`.
    """
    while (stream := try_acquire(path)) is None:
        if on_wait is not None:
            on_wait(holder_of(path))
        time.sleep(_POLL)
    stop = threading.Event()
    with stream:
        heart = threading.Thread(target=_beat, args=(stream.fileno(), stop), daemon=True)
        heart.start()
        try:
            yield stream.fileno()
        finally:
            stop.set()
            heart.join()
            stream.truncate(0)


def try_acquire(path: Path) -> IO[str] | None:
    """The open file `path` with its lock; None if somebody else holds it.

    The lock is released when the last process that has the file open closes it or dies. A child
    that was given the descriptor (``pass_fds``) keeps it and may outlive its parent.

    Raises:
        InputError: `path` is no regular file.
        OSError: it is a link, or cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with ExitStack() as stack, naming(path):
            stream = stack.enter_context(_open_lock(path))
            locked = _lock(stream, path)
            if locked is False or _is_alive(stream, locked):
                return None
            if _still_named(stream, path):  # else it was removed since it was opened
                _write_holder(stream)
                stack.pop_all()
                return stream


def is_locked(path: Path) -> bool:
    """Whether a process has acquired `path`: by its lock here, elsewhere by its heartbeat.

    Raises:
        InputError, OSError: as `try_acquire`.
    """
    try:
        stream = _open_lock(path, write=False)
    except FileNotFoundError:
        return False
    with stream, naming(path):
        locked = _lock(stream, path, shared=True)
        return locked is False or _is_alive(stream, locked)


def remove_unlocked(path: Path) -> None:
    """Remove a lock file that nobody has acquired."""
    if not is_locked(path) and (stream := try_acquire(path)) is not None:
        with stream:
            path.unlink(missing_ok=True)


def holder_of(path: Path) -> str:
    """Who holds a lock, as ``process PID on HOST since TIME``."""
    try:
        with _open_lock(path, write=False) as stream:
            return _describe(_read_holder(stream))
    except FileNotFoundError:  # released meanwhile
        return _describe(None)


def _is_alive(stream: IO[str], locked: bool | None) -> bool:
    """Whether a holder whose lock is not visible here still sends heartbeats."""
    holder = _read_holder(stream)
    if holder is None or (locked and holder["host"] == socket.gethostname()):
        return False
    # Not every shared file system shows the locks of another machine; its clock may be ahead.
    return abs(time.time() - os.fstat(stream.fileno()).st_mtime) < SILENCE


def _beat(descriptor: int, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT):
        # A heartbeat missed while a network drive is away does no harm.
        with suppress(OSError):
            os.utime(descriptor)


def _open_lock(lock: Path, write: bool = True) -> IO[str]:
    """Open the file of a lock, which is made where it is missing and `write` is set."""
    # O_NOFOLLOW and O_NONBLOCK: neither a link nor a pipe of that name is opened in its place.
    flags = os.O_RDWR | os.O_CREAT if write else os.O_RDONLY
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    number = os.open(lock, flags, 0o666)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise InputError(f"{lock}: not a regular file; remove it")
    return open(number, "r+" if write else "r", encoding="utf-8", errors="replace")


def _lock(
    stream: IO[str], lock: Path, kept_by_children: bool = True, shared: bool = False
) -> bool | None:
    """Whether the open file `lock` was free and is locked now; None where there are no locks.

    The lock is kept by children that inherit the descriptor, or belongs to this process alone;
    `shared` only looks whether somebody holds it.
    """
    if fcntl is None:
        return None
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    try:
        with naming(lock):
            (fcntl.flock if kept_by_children else fcntl.lockf)(stream, how)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        # Some file systems of clusters are mounted without locks.
        if error.errno not in UNSUPPORTED:
            raise
        text = "no locks on this file system; use it from one process at a time"
        note_once("locks", f"{lock.parent}: {text}")
        return None
    return True


def _still_named(stream: IO[str], lock: Path) -> bool:
    """Whether an open lock is still the file of that name."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.stat(lock))
    except FileNotFoundError:
        return False


def _write_holder(stream: IO[str]) -> None:
    """Write into a lock file that this process holds it."""
    stream.seek(0)
    stream.truncate(0)
    since = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": since}, stream)
    stream.flush()


def _read_holder(stream: IO[str]) -> dict[str, str] | None:
    """``pid``, ``host`` and ``since`` of who holds a lock; None where its file does not say."""
    stream.seek(0)
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        content = json.loads(stream.read(_MOST_BYTES))
        holder = {name: str(content[name]) for name in ("pid", "host", "since")}
        if all(len(word) < 256 and word.isprintable() for word in holder.values()):
            return holder
    return None


def _describe(holder: dict[str, str] | None) -> str:
    return "process {pid} on {host} since {since}".format(**holder) if holder else "another process"


def lock_beside(out: Path) -> Path:
    """The lock of a file or folder that is made elsewhere and then renamed to `out`."""
    return out.with_name(f".{out.name}.lock")


@contextmanager
def hold_folder(folder: Path, doing: str) -> Iterator[None]:
    """Keep other processes from a folder for the block; it is made as by `made_folder`.

    Raises:
        InputError: as `hold`.
    """
    with made_folder(folder), hold(folder / LOCK, folder, doing):
        yield


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Have a folder for the block.

    Those of it and its parents that were created are removed again if they are still empty.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # it holds something, as it should
            for path in made:
                path.rmdir()


def remove_left(lock: Path, *left: Path) -> None:
    """Remove the lock of a process that was killed at its very end, and files it no longer needs.

    Nothing is done if another process holds the lock, or removing is not permitted.
    """
    if any(os.path.lexists(path) for path in (lock, *left)):
        with suppress(InputError, OSError), hold(lock, lock.parent, "being written"):
            for path in left:
                path.unlink(missing_ok=True)


@contextmanager
def new_folder(out: Path, written: Collection[str]) -> Iterator[Path]:
    """A folder beside `out` that gets its name when the block succeeds, and is removed otherwise.

    What an interrupted call left of it is cleared first.

    Args:
        out: the folder to make; its parents are made, too.
        written: names and patterns of what the block writes into it, as `remove_written` takes
            them; nothing else is ever removed.

    Raises:
        InputError: `out` is there already and not an empty folder, it is being made by another
            process, or what stands in the way was not written by us.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_folder(out)
    with hold(lock_beside(out), out, "being written"):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out}: is there already; choose another --out, or remove it")
        make_partial(partial, written)
        try:
            yield partial
            os.replace(partial, out)
            fsync_folder(out.parent)
        finally:
            if partial.exists():
                clear_partial(partial, written)


def partial_folder(out: Path) -> Path:
    """Where `out` is put together."""
    return out.with_name(f"{out.name}.partial")


def make_partial(partial: Path, written: Collection[str], clear: bool = True) -> None:
    """Make the folder in which another is put together; `clear` removes what an earlier call left.

    Raises:
        InputError: something in the way was not written by us.
    """
    if partial.is_symlink() or (partial.exists() and not partial.is_dir()):
        raise InputError(f"{partial}: exists and is not a folder; move it")
    partial.mkdir(parents=True, exist_ok=True)
    ours = {pattern.partition("/")[0] for pattern in written}
    for entry in partial.iterdir():
        if not any(fnmatch(entry.name, pattern) for pattern in ours):
            raise InputError(f"{entry}: exists and was not written by us; move it")
    if clear:
        remove_written(partial, written)


def clear_partial(partial: Path, written: Collection[str]) -> None:
    """Remove what was written into an unfinished folder, and the folder if it is empty then."""
    remove_written(partial, written)
    with suppress(OSError):
        partial.rmdir()
