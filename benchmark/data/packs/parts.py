"""The parts of an unfinished pack: a small file for each chunk of frames that is on the disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.data.image_hashes import hamming_distance
from benchmark.errors import InputError
from benchmark.files import (
    fsync_folder,
    list_folder,
    read_json,
    sha256_bytes,
    write_json,
    write_text,
)
from benchmark.strict_json import parse_json
from benchmark.temporary_files import TEMPORARY

Kept = tuple[str, str]

PARTS = ("parts/*.part", "parts/plan.json", f"parts/{TEMPORARY}")
"""What is written below the folder of an unfinished pack, as `remove_written` takes it."""


@dataclass
class Part:
    """What became of the frames of one chunk.

    Attributes:
        rows: index rows of the frames that were kept.
        skipped: (reason, path) of those that could not be used.
        thinned: how many were left out as near-duplicates.
        notes: (reason, where) of what was noted on intensities; several parts may have the same.
        last: video and perceptual hash that the next frame is compared with.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    thinned: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)
    last: Kept | None = None

    def __len__(self) -> int:
        """Frames dealt with."""
        return len(self.rows) + len(self.skipped) + self.thinned


class Thinner:
    """Leaves out frames of a video that look like the last kept frame of that video.

    A frame is left out if its perceptual hash differs in fewer than `bits` bits from that frame's.
    A video is a run of frames with the same `Frame.video`; frames without a video are kept and do
    not end a run.

    Args:
        bits: 0 keeps everything.
        last: video and hash of the last kept frame, to go on from.
    """

    def __init__(self, bits: int, last: Kept | None = None) -> None:
        self.bits = bits
        self.last = last

    def keeps(self, row: dict[str, Any]) -> bool:
        """Whether the frame with this index row is kept; to be called once for each, in order."""
        video = row["video"]
        if not self.bits or video is None:
            return True
        same_video = self.last is not None and self.last[0] == video
        if same_video and hamming_distance(self.last[1], row["phash"]) < self.bits:
            return False
        self.last = (video, row["phash"])
        return True


@dataclass(frozen=True)
class Done:
    """How far an unfinished pack has come: its parts, their frames, and how many were kept."""

    parts: int = 0
    frames: int = 0
    rows: int = 0
    last: Kept | None = None


class Parts:
    """The parts below the folder of an unfinished pack, numbered from 0 without a gap.

    A part ends in a hash of what is before it, so that damage of any kind is noticed.

    Args:
        partial: the folder of the unfinished pack.
    """

    def __init__(self, partial: Path) -> None:
        self._partial = partial
        self._folder = partial / "parts"
        self._plan = self._folder / "plan.json"

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:06d}.part"

    def damaged(self, file: Path) -> InputError:
        """The error for a file that is not what was written."""
        return InputError(f"{file}: damaged; remove {self._partial} to start again")

    def begin(self, plan: dict[str, Any]) -> dict[str, Any]:
        """The plan that these parts follow: the recorded one, or `plan`, which is then recorded."""
        if not self._plan.exists():
            write_json(self._plan, plan)
        return self.read_object(self._plan)

    def read_object(self, file: Path) -> dict[str, Any]:
        """A JSON object that this code wrote; raises `InputError` where it is none any more."""
        try:
            value = read_json(file)
        except InputError:
            raise self.damaged(file) from None
        if not isinstance(value, dict):
            raise self.damaged(file)
        return value

    def write(self, number: int, part: Part) -> None:
        text = json.dumps(vars(part), ensure_ascii=False, separators=(",", ":"))
        write_text(self._file(number), f"{text}\n{sha256_bytes(text.encode())}\n")

    def read(self, number: int) -> Part:
        """One part.

        Raises:
            InputError: the file is missing or not what was written.
        """
        file = self._file(number)
        try:
            text, _, digest = file.read_bytes().partition(b"\n")
        except FileNotFoundError:
            raise self.damaged(file) from None
        if digest != f"{sha256_bytes(text)}\n".encode():
            raise self.damaged(file)
        content = parse_json(text, str(file))
        last = content.pop("last")
        return Part(**content, last=None if last is None else tuple(last))

    def __iter__(self) -> Iterator[Part]:
        number = 0
        while self._file(number).exists():
            yield self.read(number)
            number += 1

    def resume(self, strict: bool) -> Done:
        """How far the parts reach; under `strict`, up to the first that left a frame out.

        The frames may have been mended since. Parts that no longer count are removed.

        Raises:
            InputError: a part is damaged.
        """
        parts = frames = rows = 0
        last = None
        for part in self:
            if strict and part.skipped:
                break
            parts, frames, rows = parts + 1, frames + len(part), rows + len(part.rows)
            last = part.last
        # From the end, so that no kill leaves a gap; and before the pixels they vouch for go.
        stale = list_folder(self._folder, "*.part")[::-1]
        for file in stale[: len(stale) - parts]:
            file.unlink()
        fsync_folder(self._folder)
        return Done(parts, frames, rows, last)
