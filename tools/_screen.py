"""Output that never ends a run: closed pipes, lost terminals, full disks, plain ASCII."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

# Closing a pipe or a terminal is deliberate and needs no warning.
_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)

output_is_lost = False
"""Whether part of stdout was lost, as on a full disk."""


class _Screen(io.FileIO):
    """A file descriptor that is redirected to the null device at the first failed write."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)

    def write(self, data: Any) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            # For C libraries and child processes, which share it, too.
            _redirect_to_null(self.fileno())
            if self.fileno() == 1 and error.errno not in _GONE:
                global output_is_lost
                output_is_lost = True
                print(f"warning: stdout is lost from here on ({error.strerror})", file=sys.stderr)
            return len(data)


def _redirect_to_null(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere == number:
        os.set_inheritable(number, True)
    else:
        os.dup2(nowhere, number)
        os.close(nowhere)


def _wrapped(number: int, old: TextIO | None) -> TextIO:
    encoding = getattr(old, "encoding", None) or "utf-8"
    stream = io.BufferedWriter(_Screen(number))
    by_line = number == 2 or stream.isatty()
    # Characters that the encoding lacks are escaped (\u2026) instead of ending the run.
    return io.TextIOWrapper(
        stream, encoding=encoding, errors="backslashreplace", line_buffering=by_line
    )


def outlive_the_screen() -> None:
    """Make stdin, stdout and stderr exist, and survive their readers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Closed by `>&-`: the next opened file would get its number, and the output.
            _redirect_to_null(number)
    for number, name in ((1, "stdout"), (2, "stderr")):
        old = getattr(sys, name)
        if old is not getattr(sys, f"__{name}__"):
            continue  # captured, in a test or a notebook
        if old is not None:
            old.flush()
        setattr(sys, name, _wrapped(number, old))
