"""Keeping two processes from writing the same files, and folders that are absent or whole.

A lock ends with its holder, a kill included.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from benchmark.errors import InputError
from benchmark.files import UNSUPPORTED, fsync_folder, note_once, remove_written

try:
    import fcntl
except ImportError:  # Windows: two writers are not kept apart there.
    fcntl = None

LOCK = ".lock"
"""Name of the lock in a folder that is written in place."""

_MOST_BYTES = 4096

# A process is never refused its own record lock: what this one holds is kept here, by its id,
# since forked children inherit the table but no lock.
_held: set[tuple[int, str]] = set()


@contextmanager
def hold(lock: Path, folder: Path, doing: str) -> Iterator[None]:
    """Hold the file `lock` for the block, and remove it afterwards.

    On a file system without locks, nobody is kept out and a note says so.

    Args:
        lock: file in a folder that exists; it must not be among what the block removes.
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
            if stream is not None and still_named(stream, lock):
                lock.unlink()


@contextmanager
def _locked(lock: Path, folder: Path, doing: str) -> Iterator[IO[str] | None]:
    while True:
        with open_lock(lock) as stream:
            if _take(stream, lock, folder, doing):
                if not still_named(stream, lock):
                    continue  # its last holder has finished and removed it since it was opened
                if os.fstat(stream.fileno()).st_size and not read_holder(stream):
                    raise InputError(f"{lock}: in the way, and no lock of this project; move it")
                write_holder(stream)
            yield stream
            return


def open_lock(lock: Path, write: bool = True) -> IO[str]:
    """Open the file of a lock, which is made where it is missing and `write` is set.

    Raises:
        InputError: it is no regular file.
        OSError: it is a link, cannot be opened, or is missing and `write` is not set.
    """
    # O_NOFOLLOW and O_NONBLOCK: neither a link nor a pipe of that name is opened in its place.
    flags = os.O_RDWR | os.O_CREAT if write else os.O_RDONLY
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    number = os.open(lock, flags, 0o666)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise InputError(f"{lock}: not a regular file; remove it")
    return open(number, "r+" if write else "r", encoding="utf-8", errors="replace")


def _take(stream: IO[str], lock: Path, folder: Path, doing: str) -> bool:
    """Lock the open file; False where there are no locks.

    A record lock: forked workers do not inherit it, so they cannot outlive it.
    """
    if fcntl is None:
        return False
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        holder = describe_holder(read_holder(stream))
        raise InputError(
            f"{folder}: is {doing} by {holder}; wait until it has ended, or stop it"
        ) from None
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            error.filename = str(lock)
            raise
        note_once(
            "locks", f"{folder}: no locks on this file system; use it from one process at a time"
        )
        return False
    return True


def write_holder(stream: IO[str]) -> None:
    """Write into a lock that this process holds it from now on."""
    stream.seek(0)
    stream.truncate(0)
    since = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    json.dump({"pid": os.getpid(), "host": socket.gethostname(), "since": since}, stream)
    stream.flush()


def read_holder(stream: IO[str]) -> dict[str, str] | None:
    """``pid``, ``host`` and ``since`` of who holds a lock; None where its file does not say."""
    stream.seek(0)
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        content = json.loads(stream.read(_MOST_BYTES))
        holder = {name: str(content[name]) for name in ("pid", "host", "since")}
        if all(len(word) < 256 and word.isprintable() for word in holder.values()):
            return holder
    return None


def describe_holder(holder: dict[str, str] | None) -> str:
    """The holder of a lock in words."""
    if holder is None:
        return "another process"
    return "process {pid} on {host} since {since}".format(**holder)


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

    What was made of it and of its parents is removed again where nothing was put into it.
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
    """Remove what a process that was killed at its very end has left beside finished work.

    Nothing is done where another process holds the lock, or nothing may be removed.

    Args:
        lock: of what it did; removed as well.
        left: files it needed until then.
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
    """Make the folder in which another is put together.

    Args:
        partial: of `partial_folder`.
        written: see `new_folder`.
        clear: remove what an interrupted call left there.

    Raises:
        InputError: something in the way was not written by us.
    """
    if partial.is_symlink() or (partial.exists() and not partial.is_dir()):
        raise InputError(f"{partial}: in the way, and not a folder; move it")
    partial.mkdir(parents=True, exist_ok=True)
    ours = {pattern.partition("/")[0] for pattern in written}
    for entry in partial.iterdir():
        if not any(fnmatch(entry.name, pattern) for pattern in ours):
            raise InputError(f"{entry}: in the way, and not ours to remove; move it")
    if clear:
        remove_written(partial, written)


def clear_partial(partial: Path, written: Collection[str]) -> None:
    """Remove what was written into an unfinished folder, and the folder where nothing else is."""
    remove_written(partial, written)
    with suppress(OSError):
        partial.rmdir()


def still_named(stream: IO[str], lock: Path) -> bool:
    """Whether an open lock is still the file of that name."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.stat(lock))
    except FileNotFoundError:
        return False
