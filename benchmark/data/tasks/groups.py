"""Patients and studies to exclude because another dataset uses them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from benchmark.data.formats.list_files import nfc, read_list_file
from benchmark.data.tasks.folder import TaskFolder
from benchmark.errors import InputError


def read_groups(paths: Iterable[str | os.PathLike[str]]) -> set[str]:
    """Groups of task folders, and those listed in text files, one per line.

    Raises:
        InputError: a path that is neither, a file that is not text (see `read_list_file`), or one
            without any group: excluding nothing would look as if it had worked.
    """
    found: set[str] = set()
    for path in map(Path, paths):
        if path.is_file():
            groups = {nfc(line.strip()) for line in read_list_file(path).splitlines()} - {""}
        else:
            splits = TaskFolder.open(path).splits
            groups = {item["group"] for items in splits.values() for item in items} - {None}
        if not groups:
            raise InputError(f"{path}: names no patient or study, so that it excludes nothing")
        found |= groups
    return found
