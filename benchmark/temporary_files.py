"""Temporary files: how they are named, and how those of killed processes are removed.

A name says which process writes it on which machine, so that nobody deletes what another one is
still writing.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path

ABANDONED = 24 * 3600.0
"""Seconds without a change after which a file of another machine counts as left behind."""

TEMPORARY = "*.????????-*-*.tmp"
"""Pattern of the names of temporary files."""

_NAME = re.compile(r".*\.([0-9a-f]{8})-(\d{1,9})-\d+\.tmp", re.DOTALL)
# Bytes of the final name that go into the temporary one, which may have 255.
_MOST_BYTES = 200

_numbers = itertools.count()
_tidied: set[str] = set()


def temporary_beside(path: Path) -> Path:
    """A new name beside `path` for what is renamed to it when it is complete."""
    name = path.name
    if len(os.fsencode(name)) > _MOST_BYTES:
        name = os.fsencode(name)[:_MOST_BYTES].decode(errors="ignore")
    return path.with_name(f"{name}.{_machine()}-{os.getpid()}-{next(_numbers)}.tmp")


def remove_leftovers(folder: Path, exclusive: bool = False) -> None:
    """Delete the temporary files that killed processes have left in a folder, not below it.

    A file is left behind if its process, of this machine, lives no more. Of a process of another
    machine, or where process ids are those of another container, that cannot be known: there it has
    to be unchanged for a day.

    Args:
        folder: may be missing.
        exclusive: nobody else writes there (a lock is held), so that every such file is a leftover.
    """
    # What cannot be listed or removed is somebody else's; it is in nobody's way.
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None or not entry.is_file(follow_symlinks=False):
                continue
            if exclusive or _is_left(entry, match[1], int(match[2])):
                with suppress(OSError):
                    os.unlink(entry.path)


def remove_leftovers_once(folder: Path) -> None:
    """`remove_leftovers`, the first time that this process writes into the folder."""
    name = os.path.abspath(folder)
    if name not in _tidied:
        _tidied.add(name)
        remove_leftovers(folder)


def _is_left(entry: os.DirEntry[str], machine: str, process: int) -> bool:
    # Signal 0 ends a process on Windows, where only the age is asked.
    if machine == _machine() and os.name != "nt":
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass  # it lives, and is somebody else's
    # The number may have gone to another process by now.
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED


@functools.cache
def _machine() -> str:
    """Eight digits for this machine and, in a container, for its own count of processes."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    text = f"{socket.gethostname()} {namespace}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
