"""What became of the frames of an unfinished pack, chunk by chunk, for resuming it."""

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
from benchmark.strict_json import parse_json
from benchmark.temporary_files import TEMPORARY

_FOLDER = "chunks"

WRITTEN = (f"{_FOLDER}/*.chunk", f"{_FOLDER}/plan.json", f"{_FOLDER}/{TEMPORARY}")
"""What is written below the folder of an unfinished pack, as `remove_written` takes it."""


@dataclass
class ChunkRecord:
    """What became of the frames of one chunk.

    Attributes:
        rows: index rows of the frames that were kept.
        skipped: (reason, path) of those that could not be used.
        thinned: how many were dropped as near-duplicates.
        notes: (reason, where) of what was noted about intensities; chunks may repeat each other.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    thinned: int = 0
    notes: list[Skip] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """How many frames of the source the chunk covers."""
        return len(self.rows) + len(self.skipped) + self.thinned


class ChunkLog:
    """The chunk records of the unfinished pack in `partial`, those read by `resume` and new ones.

    Each has a file of its own, numbered without a gap, that ends in a hash of what is before it, so
    that damage of any kind is noticed.
    """

    def __init__(self, partial: Path) -> None:
        self.partial = partial
        self._folder = partial / _FOLDER
        self.records: list[ChunkRecord] = []

    def begin(self, plan: dict[str, Any]) -> dict[str, Any]:
        """The recorded plan of the pack: `plan` itself where none was recorded."""
        file = self._folder / "plan.json"
        if not file.exists():
            write_json(file, plan)
        return self.read_object(file)

    def read_object(self, file: Path) -> dict[str, Any]:
        """A JSON object that was written here; raises `InputError` where it is damaged."""
        try:
            return read_object(file)
        except InputError:
            raise self._damaged(file) from None

    def resume(self, strict: bool) -> None:
        """Read the records; under `strict`, up to the first with a skipped frame.

        Such a frame may have been repaired since. Records that no longer count are removed.
        """
        files = list_folder(self._folder, "*.chunk")
        for number, file in enumerate(files):
            record = self._read(file) if file == self._file(number) else None
            if record is None or (strict and record.skipped):
                break
            self.records.append(record)
        # From the end, so that a kill leaves no gap, and before the pixels they vouch for.
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
