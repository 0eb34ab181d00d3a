"""Data that may outgrow memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

from benchmark.files import naming


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
            OSError: the folder for temporary files is full.
        """
        with naming(tempfile.gettempdir()):
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
