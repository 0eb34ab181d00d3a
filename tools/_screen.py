"""A screen that never ends a run: a closed pipe, a vanished terminal, a full disk, plain ASCII."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

# What the reader of a pipe or the owner of a terminal does on purpose is not worth a note.
_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)

output_is_lost = False
"""Whether a part of stdout did not get to where it was sent, as on a full disk."""


class _Screen(io.FileIO):
    """A file descriptor that leads nowhere from the first write on that fails."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)

    def write(self, data: Any) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            # Also for the libraries in C and the processes that share it.
            _lead_nowhere(self.fileno())
            if self.fileno() == 1 and error.errno not in _GONE:
                global output_is_lost
                output_is_lost = True
                print(f"warning: stdout is lost from here on ({error.strerror})", file=sys.stderr)
            return len(data)


def _lead_nowhere(number: int) -> None:
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
    # What the encoding lacks is shown as \u2026 instead of ending the run.
    return io.TextIOWrapper(
        stream, encoding=encoding, errors="backslashreplace", line_buffering=by_line
    )


def outlive_the_screen() -> None:
    """Make stdin, stdout and stderr exist, and survive whoever reads them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # Closed by `>&-`: the next file that is opened would get its number, and the output.
            _lead_nowhere(number)
    for number, name in ((1, "stdout"), (2, "stderr")):
        old = getattr(sys, name)
        if old is not getattr(sys, f"__{name}__"):
            continue  # captured, in a test or a notebook
        if old is not None:
            old.flush()
        setattr(sys, name, _wrapped(number, old))
