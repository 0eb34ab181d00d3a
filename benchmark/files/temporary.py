"""Names of temporary files, and removing those of killed processes.

A name identifies the process and machine that write it, so that no process deletes what another one
is still writing.
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
"""Seconds without a change after which a file of another machine counts as abandoned."""

TEMPORARY = "*.????????-*-*.tmp"
"""Pattern of their names."""

_NAME = re.compile(r".*\.([0-9a-f]{8})-(\d{1,9})-\d+\.tmp", re.DOTALL)
# Bytes of the final name kept in the temporary one, which may have 255 in all.
_MOST_BYTES = 200

_numbers = itertools.count()
_tidied: set[str] = set()


def temporary_beside(path: Path) -> Path:
    """A unique name beside `path`, to be renamed to it when complete."""
    name = path.name
    if len(os.fsencode(name)) > _MOST_BYTES:
        name = os.fsencode(name)[:_MOST_BYTES].decode(errors="ignore")
    return path.with_name(f"{name}.{_machine()}-{os.getpid()}-{next(_numbers)}.tmp")


def remove_leftovers(folder: Path, exclusive: bool = False) -> None:
    """Delete the temporary files of killed processes in a folder, not below it.

    A file is a leftover if its process on this machine no longer exists. For a process of another
    machine or container this is unknown: its file has to be unchanged for a day.

    Args:
        folder: may be missing.
        exclusive: a lock is held on the folder, so that every temporary file is a leftover.
    """
    # A file that cannot be listed or removed belongs to somebody else, and does no harm.
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None or not entry.is_file(follow_symlinks=False):
                continue
            if exclusive or _is_left(entry, match[1], int(match[2])):
                with suppress(OSError):
                    os.unlink(entry.path)


def remove_leftovers_once(folder: Path) -> None:
    """`remove_leftovers`, once per folder and process."""
    name = os.path.abspath(folder)
    if name not in _tidied:
        _tidied.add(name)
        remove_leftovers(folder)


def _is_left(entry: os.DirEntry[str], machine: str, process: int) -> bool:
    # On Windows, signal 0 would end the process: only the age counts there.
    if machine == _machine() and os.name != "nt":
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass  # it exists, under another user
    # The process id may have been reused.
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED


@functools.cache
def _machine() -> str:
    """Eight hex digits for this machine and its PID namespace."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    text = f"{socket.gethostname()} {namespace}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
