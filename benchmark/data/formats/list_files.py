"""List files (csv, txt, json) that come with datasets, read as untrusted input."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.files import read_regular
from benchmark.files.contents import pointer_reason
from benchmark.files.strict_json import parse_json

MAX_LIST_BYTES = 1 << 26
"""Larger list files are refused; the largest one of the public datasets is about 8 MB."""

_WINDOWS = re.compile(r"[A-Za-z]:|[\\/]{2}")


def read_list_file(path: Path) -> str:
    """Text of a list file, without a byte order mark; `InputError` if it cannot be read."""
    if reason := pointer_reason(path):
        raise InputError(f"{path}: {reason}")
    try:
        return read_regular(path, MAX_LIST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it as UTF-8") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; `InputError` if the file is unreadable or holds something else."""
    text = read_list_file(path)
    try:
        # A NaN coordinate makes one polygon unusable, not the file.
        content = parse_json(text, str(path), finite=False)
    except InputError as error:
        raise InputError(f"{error}; download it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object; download it again")
    return content


def read_table(path: Path, columns: Sequence[str]) -> list[tuple[str, ...] | None] | None:
    """Rows of a csv file (comma, semicolon or tab separated) with a header line.

    Returns:
        For each non-blank row, the stripped cells of `columns` (case-insensitive), or None if the
        row is too short or longer than the header, as when a comma in a number or name shifts the
        other cells. None instead of the list if a column is missing.
    """
    lines = [line for line in read_list_file(path).splitlines() if line.strip()]
    if not lines:
        return None
    separator = max(",;\t", key=lines[0].count)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    except csv.Error as error:
        raise InputError(f"{path}: damaged csv ({error})") from None
    header = [cell.casefold() for cell in rows[0]]
    if any(column not in header for column in columns):
        return None
    wanted = [header.index(column) for column in columns]
    return [
        tuple(row[index] for index in wanted)
        if len(row) > max(wanted) and not any(row[len(header) :])
        else None
        for row in rows[1:]
    ]


def base_name(path: str, where: str) -> str | None:
    """Last component of a listed path, ``images/7.png`` → ``7.png``; None if the path escapes.

    Absolute paths and those with ``..`` escape; ``\\`` separates like ``/``. Readers look the name
    up among the files they found, and never open a listed path. An absolute Windows path is an
    `InputError` that begins with `where`.
    """
    refuse_windows_path(path, where)
    parts = path.strip().replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or "\0" in path:
        return None
    return parts[-1] or None


def refuse_windows_path(path: str, where: str) -> None:
    """Raise `InputError` for ``C:\\data\\7.png`` and ``\\\\server\\7.png``.

    An error, not a skip per row: such a list was written on another computer, and none of its files
    would be found.
    """
    path = path.strip()
    if _WINDOWS.match(path):
        last = re.split(r"[\\/:]", path)[-1]
        raise InputError(
            f"{where}: {path[:200]!r} is an absolute Windows path; list names below the folder of "
            f"the data, as {last[:100]!r}"
        )


def name_key(name: str) -> str:
    """Key for comparing file names, whatever their case and Unicode normal form (NFC or NFD)."""
    if name.isascii():
        return name.casefold()
    return nfc(unicodedata.normalize("NFD", name).casefold())


def nfc(text: str) -> str:
    """Text in Unicode normal form C."""
    return unicodedata.normalize("NFC", text)
