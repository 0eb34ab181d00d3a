"""Chunk records of an unfinished pack, from which its build is resumed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.data.skips import Skip
from benchmark.errors import InputError
from benchmark.files import (
    fsync_folder,
    list_folder,
    read_object,
    sha256_bytes,
    write_json,
    write_text,
)
from benchmark.files.strict_json import parse_json
from benchmark.files.temporary import TEMPORARY

_FOLDER = "chunks"

WRITTEN = (f"{_FOLDER}/*.chunk", f"{_FOLDER}/plan.json", f"{_FOLDER}/{TEMPORARY}")
"""Patterns of the files written below an unfinished pack, for `remove_written`."""


@dataclass
class ChunkRecord:
    """What became of the frames of one chunk.

    Attributes:
        rows: index rows of kept frames.
        skipped: (reason, path) of skipped frames.
        thinned: number of frames dropped as near-duplicates.
        notes: (reason, where) of notes about intensities; chunks may repeat each other's.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    thinned: int = 0
    notes: list[Skip] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Number of source frames the chunk covers."""
        return len(self.rows) + len(self.skipped) + self.thinned


class ChunkLog:
    """The chunk records of the unfinished pack in `partial`: those read by `resume`, and new ones.

    Each is a file of its own, numbered consecutively, that ends in a hash of its content, so that
    any damage is detected.
    """

    def __init__(self, partial: Path) -> None:
        self.partial = partial
        self._folder = partial / _FOLDER
        self.records: list[ChunkRecord] = []

    def begin(self, plan: dict[str, Any]) -> dict[str, Any]:
        """The recorded plan of the pack; records `plan` if there is none."""
        file = self._folder / "plan.json"
        if not file.exists():
            write_json(file, plan)
        return self.read_object(file)

    def read_object(self, file: Path) -> dict[str, Any]:
        """Read a JSON object of an unfinished pack; `InputError` if it is damaged."""
        try:
            return read_object(file)
        except InputError:
            raise self._damaged(file) from None

    def resume(self, strict: bool) -> None:
        """Read the records; under `strict`, up to the first with a skipped frame.

        Such a frame may have been repaired since. The remaining records are removed.
        """
        files = list_folder(self._folder, "*.chunk")
        for number, file in enumerate(files):
            record = self._read(file) if file == self._file(number) else None
            if record is None or (strict and record.skipped):
                break
            self.records.append(record)
        # Last one first, so that a kill leaves no gap, and before the pixels they vouch for.
        for file in reversed(files[len(self.records) :]):
            file.unlink()
        fsync_folder(self._folder)

    def append(self, record: ChunkRecord) -> None:
        """Record a chunk whose pixels are on the disk."""
        text = json.dumps(vars(record), ensure_ascii=False, separators=(",", ":"))
        file = self._file(len(self.records))
        write_text(file, f"{text}\n{sha256_bytes(text.encode())}\n")
        self.records.append(record)

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06d}.chunk"

    def _read(self, file: Path) -> ChunkRecord:
        text, _, digest = file.read_bytes().partition(b"\n")
        if digest != f"{sha256_bytes(text)}\n".encode():
            raise self._damaged(file)
        content = parse_json(text, str(file))
        for key in ("skipped", "notes"):
            content[key] = [(reason, path) for reason, path in content[key]]
        return ChunkRecord(**content)

    def _damaged(self, file: Path) -> InputError:
        return InputError(f"{file}: damaged; remove {self.partial} to start over")
