"""Generated text in the middle of a document, between two lines that mark it."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import InputError
from benchmark.files import write_text


def write_between(path: Path, start: str, end: str, text: str, what: str = "it") -> None:
    """Replace what stands between the first line `start` of `path` and the line `end` after it.

    Args:
        start, end: the lines, without line break.
        text: what to put there, between two empty lines.
        what: what the text is, for the message.

    Raises:
        InputError: no such file, or it lacks one of the lines.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file to write {what} into")
    before, found, rest = path.read_text(encoding="utf-8").partition(f"{start}\n")
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise InputError(f"{path}: has no lines {start!r} and {end!r} to write between")
    write_text(path, f"{before}{start}\n\n{text}\n\n{end}{after}")
