"""The index and the manifest of a pack, put together from its parts one by one."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.data.frame import Source
from benchmark.data.packs.layout import (
    INDEX,
    MANIFEST,
    NUMBER_COLUMNS,
    REPORT,
    SCHEMA,
    TEXT_COLUMNS,
)
from benchmark.data.packs.parts import Parts
from benchmark.data.packs.survey import Survey
from benchmark.data.selection import intensity_entry
from benchmark.files import atomic_write, write_json

ROW_GROUP = 1 << 15
"""Rows of the index that are written at once, and held in memory until then."""

_TABLE = pa.schema(
    [(name, pa.string()) for name in TEXT_COLUMNS]
    # The number of a frame may be a time stamp.
    + [(name, pa.int64() if name == "frame" else pa.int32()) for name in NUMBER_COLUMNS]
)


class CorpusHash:
    """`sha256_json` of ``{"parameters": …, "pixels": [hash, …]}``, one pixel hash at a time."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
        self._digest = hashlib.sha256(f'{{"parameters":{text},"pixels":['.encode())
        self._comma = ""

    def add(self, pixels: str) -> None:
        self._digest.update(f'{self._comma}"{pixels}"'.encode())
        self._comma = ","

    def hexdigest(self) -> str:
        digest = self._digest.copy()
        digest.update(b"]}")
        return digest.hexdigest()


def write_index(
    source: Source,
    found: Survey,
    parts: Parts,
    partial: Path,
    plan: dict[str, Any],
    parameters: dict[str, Any],
) -> None:
    """Write index, report and, last of all, the manifest into the folder `partial`.

    What was left out and what was noted when frames were read is added to ``found.skips``.

    Args:
        source: where the frames come from.
        found: the walk over it.
        parts: what became of the chosen frames.
        partial: folder of the pack.
        plan: entries that identify the work, for the manifest.
        parameters: those of the pack.

    Raises:
        InputError: a part is damaged.
    """
    pixels = CorpusHash({"size": parameters["size"], "resize": parameters["resize"]})
    thinned = 0
    # Each worker notes what it meets first.
    noted: dict[tuple[str, str], None] = {}

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal thinned
        for part in parts:
            found.skips.extend(part.skipped)
            thinned += part.thinned
            noted.update(dict.fromkeys(map(tuple, part.notes)))
            for row in part.rows:
                pixels.add(row["sha256"])
                yield row

    with (
        atomic_write(partial / INDEX) as stream,
        pq.ParquetWriter(stream, _TABLE) as writer,
    ):
        for table in _tables(rows()):
            writer.write_table(table, ROW_GROUP)
    sources, splits = _tally(partial, "source"), _tally(partial, "split")
    manifest = {
        "schema": SCHEMA,
        **plan,
        "corpus_hash": pixels.hexdigest(),
        "parameters": parameters,
        "counts": {
            "found": found.found,
            "excluded": found.excluded,
            "set_aside": found.set_aside,
            "chosen": found.chosen,
            "thinned": thinned,
            "kept": sum(sources.values()),
            "expected": source.expected,
            "sources": sources,
            "splits": splits,
            "groups": len(_tally(partial, "group")),
            "videos": len(_tally(partial, "video")),
        },
        "split": {"origin": source.split_note, "official": source.official_split},
        "skipped": copy.deepcopy(found.skips.summary),
        **intensity_entry(noted),
    }
    found.skips.extend(noted)
    found.skips.write(partial / REPORT)
    write_json(partial / MANIFEST, manifest)


def _tables(rows: Iterator[dict[str, Any]]) -> Iterator[pa.Table]:
    """Tables of `ROW_GROUP` rows, the last of what is left: the same however the parts fell."""
    held: list[dict[str, Any]] = []
    for row in rows:
        held.append(row)
        if len(held) == ROW_GROUP:
            yield pa.Table.from_pylist(held, schema=_TABLE)
            held = []
    if held:
        yield pa.Table.from_pylist(held, schema=_TABLE)


def _tally(partial: Path, column: str) -> dict[str, int]:
    """How often each value of a column of the index occurs; missing values are not counted."""
    with pq.ParquetFile(partial / INDEX) as file:
        values = file.read(columns=[column])[column]
    counts = values.drop_null().value_counts().to_pylist()
    return {entry["values"]: entry["counts"] for entry in counts}
