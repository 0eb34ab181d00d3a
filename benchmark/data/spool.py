"""Data that may outgrow memory, and what to say when it outgrows the disk."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.errors import InputError

_REFUSED = {errno.ENOSPC, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS}
_REFUSED |= {getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows knows no quota.


@contextmanager
def writing_to(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Say in one line that `folder` cannot be written, whichever write of the block found out.

    Raises:
        InputError: the disk or the quota is full, a file grew beyond what the file system holds, or
            writing is not allowed there.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        raise InputError(
            f"{folder}: cannot be written ({error.strerror}); make room or choose another folder, "
            "then the same command goes on"
        ) from None


class Spool:
    """Lines, kept in order: in memory while they are few, then in a nameless temporary file.

    Nothing is left behind, not even by a process that is killed. One reader at a time.

    Args:
        memory: bytes held before the file is begun.
    """

    def __init__(self, memory: int) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=memory)  # noqa: SIM115
        self._at_end = True

    def append(self, line: bytes) -> None:
        """Add a line, without its end; it must not contain one.

        Raises:
            InputError: the folder for temporary files is full.
        """
        with writing_to(tempfile.gettempdir()):
            if not self._at_end:
                self._file.seek(0, os.SEEK_END)
                self._at_end = True
            self._file.write(line + b"\n")

    def __iter__(self) -> Iterator[bytes]:
        """All lines from the first, without their ends."""
        self._at_end = False
        self._file.seek(0)
        for line in self._file:
            yield line[:-1]

    def close(self) -> None:
        self._file.close()
