"""Which patient a file shows: from its folders, its name, or the user's list."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.data.formats.list_files import base_name, name_key, nfc, read_table
from benchmark.data.frame import SkipReport
from benchmark.data.sources.files import IMAGE_EXTENSIONS, find_entry
from benchmark.data.splits import split_named
from benchmark.errors import InputError

PATIENTS = "patients.csv"

_PREFIX = re.compile(r"[_\-\s]")


def has_digit(text: str) -> bool:
    """Whether any character is a decimal digit; names of patients have one."""
    return any(character.isdecimal() for character in text)


def patient_folders(folders: Sequence[tuple[str, ...]]) -> list[str | None]:
    """Names at the first folder level with two different ones that contain a digit."""
    for names in itertools.zip_longest(*folders, fillvalue=""):
        if len(set(filter(has_digit, names))) > 1:
            return [name if has_digit(name) else None for name in names]
    return [None] * len(folders)


def prefixes(stems: Sequence[str]) -> list[str | None]:
    """File names up to the first ``_``, ``-`` or space."""
    return [_PREFIX.split(stem, maxsplit=1)[0] or None for stem in stems]


def distinct_prefixes(stems: Sequence[str]) -> list[str | None]:
    """Prefixes that look like patients: shorter than the name, with a digit, not all the same."""
    found = prefixes(stems)
    several = len(set(found)) > 1
    return [
        prefix if several and prefix != stem and has_digit(prefix or "") else None
        for prefix, stem in zip(found, stems)
    ]


class PatientList(NamedTuple):
    """The content of ``patients.csv``: `name_key`, after its split if there is one → patient."""

    patients: dict[str, str]
    used: set[str]

    def patient(self, stem: str, split: str | None) -> str | None:
        """The patient of a file, listed as ``name`` or ``split/name``; None if it is not listed."""
        for key in map(name_key, (f"{split}/{stem}", stem)):
            if key in self.patients:
                self.used.add(key)
                return self.patients[key]
        return None


def read_patient_list(root: Path, report: SkipReport) -> PatientList | None:
    """Read ``patients.csv`` (in any spelling) below `root`; None if there is none.

    Its columns are ``name``, a file name with or without folders and extension, and ``patient``.

    Raises:
        InputError: it is not a table with the two columns.
    """
    path = find_entry(root, PATIENTS)
    if path is None:
        return None
    rows = read_table(path, ("name", "patient"))
    if rows is None:
        raise InputError(f"{path}: the first line must be name,patient")
    patients: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        here = f"{PATIENTS}: row {number}"
        name = base_name(row[0], f"{path}: row {number}") if row else None
        if row is None or name is None or not row[1]:
            report.add("damaged row", here)
            continue
        folders = row[0].replace("\\", "/").split("/")[:-1]
        splits = [split for split in map(split_named, folders) if split]
        key = name_key("/".join([*splits[:1], name]))
        if key.endswith(tuple(IMAGE_EXTENSIONS)):
            key = key.rpartition(".")[0]
        if patients.setdefault(key, nfc(row[1])) != nfc(row[1]):
            report.add("name with two patients", here)
    return PatientList(patients, set())
