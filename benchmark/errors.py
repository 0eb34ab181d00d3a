"""The exception that means "the input is wrong", suggestions for unknown names, and `OSError`s."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable

from benchmark.text import visible


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is a single line that names the file, folder or key at fault and says how to fix
    it. Command lines print it as ``error: …`` and exit with code 2; anything else that
    escapes is a defect and keeps its traceback. It quotes names and values of untrusted
    files, so control and invisible characters are escaped (`visible`).
    """

    def __str__(self) -> str:
        return visible(super().__str__())


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the closest known one, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def one_of(what: str, value: str, known: Iterable[str]) -> str:
    """`value` if it is one of `known`, else an `InputError` with the closest one, or all."""
    known = list(known)
    if value in known:
        return value
    raise InputError(f"unknown {what} {value!r}{did_you_mean(value, known)}")


def check_unit_interval(where: str, **values: float) -> None:
    """Raise an `InputError` that names the first value outside [0, 1]."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise InputError(f"{where}: {name}={value} must lie in [0, 1]")


_REMEDIES = {
    errno.EACCES: "permission denied; change its owner or mode, or choose another path",
    errno.EPERM: "operation not permitted; change its owner or mode, or choose another path",
    errno.EROFS: "read-only file system; choose another folder",
    errno.ENOSPC: "no space left on the disk; free some or choose another folder, then run the "
    "same command again",
    errno.EFBIG: "larger than the file system or a limit allows; choose another folder",
    errno.ENAMETOOLONG: "the name is too long for the file system; choose a shorter one",
    errno.ELOOP: "its symbolic links lead in a circle, or a link is not allowed there; name the "
    "real path",
    errno.ENOTDIR: "a file stands where a folder is needed; move it or choose another path",
    errno.EISDIR: "a folder stands where a file is needed; move it or choose another path",
    errno.EEXIST: "in the way; move it or choose another path",
    errno.ENOTEMPTY: "not empty; choose another path",
    errno.ENOENT: "no such file or folder; check the path",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n) or use fewer workers",
    errno.ENFILE: "too many open files on this machine; close some programs",
    errno.ENOMEM: "out of memory; use smaller batches or fewer workers",
    errno.EIO: "the drive reports an input/output error; check the disk or its mount",
}
if os.name != "nt":  # which has neither quotas nor network file handles that expire
    _REMEDIES |= {
        errno.EDQUOT: "your disk quota is used up; free some space or choose another folder, then "
        "run the same command again",
        errno.ESTALE: "the network drive has lost it; check the mount, then run the same command "
        "again",
    }


def explain_os_error(error: OSError) -> str:
    """One line for an `OSError`: the path, what the system refused, and a remedy."""
    path = error.filename2 if error.filename2 is not None else error.filename
    text = str(error).strip() or type(error).__name__
    # The text of a loader process ends with its error, after a complete traceback.
    reason = _REMEDIES.get(error.errno) or error.strerror or text.splitlines()[-1]
    if path is None or isinstance(path, int):
        return reason
    # The path may hold a line break or bytes that are not text.
    return f"{visible(os.fsdecode(path))}: {reason}"
