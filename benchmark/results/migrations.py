"""Records of older schemas in the layout of today's; the files themselves stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmark.errors import InputError
from benchmark.results.schema import SCHEMA


def from_1(data: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 knew neither begin, processes, precision, skipped steps and command nor examples.

    Its first records lack ``leakage``, too, which came without a version of its own.
    """
    unknown = ("started", "processes", "precision", "skipped_steps", "command", "examples")
    return {**dict.fromkeys((*unknown, "leakage")), **data, "schema": 2}


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: from_1}
"""Schema → function to the next one."""


def to_current(data: Any, where: str) -> Any:
    """The content of a record file as schema `SCHEMA` would say it; not validated yet.

    Raises:
        InputError: the file `where` is of a schema of the future.
    """
    version = data.get("schema") if isinstance(data, dict) else None
    if type(version) is not int:
        return data
    if version > SCHEMA:
        raise InputError(
            f"{where}: key 'schema' is {version}, but this version reads 1 to {SCHEMA}; "
            "update the benchmark (git pull)"
        )
    while version in MIGRATIONS:
        data = MIGRATIONS[version](data)
        version = data["schema"]
    return data
