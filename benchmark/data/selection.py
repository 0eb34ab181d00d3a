"""Which frames of a source go into a store, and the account of those that do not."""

from __future__ import annotations

import errno
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.frame import Frame, SkipReport, Source, UnreadableFrame
from benchmark.data.sources.files import FolderSource
from benchmark.data.spool import Spool
from benchmark.errors import InputError
from benchmark.files import atomic_write, sha256_json

_EXAMPLES = 20
_SPOOL_BYTES = 1 << 20

_REASONS = {
    errno.ENOENT: "file missing",
    errno.EACCES: "no permission to read",
    errno.EPERM: "no permission to read",
    errno.EISDIR: "not a file",
    errno.ENOTDIR: "not a file",
    errno.ELOOP: "not a file",
}
"""What the system says of a file that was removed or replaced since it was found."""

Skip = tuple[str, str]


@dataclass(frozen=True)
class FrameSelection:
    """Frames to be stored, in order.

    Attributes:
        frames: the chosen frames.
        found: how many frames the source yielded, before `splits` and `limit`.
        walk: what the source passed over on the way.
    """

    frames: list[Frame]
    found: int
    walk: SkipReport

    def plan_hash(self, parameters: dict[str, Any]) -> str:
        """Identity of the work: the ordered frames and everything that decides the result."""
        return sha256_json({"frames": list(map(frame_row, self.frames)), "parameters": parameters})


def frame_row(frame: Frame) -> list[str | int | None]:
    """The values of a frame in the order of its fields, for JSON; ``Frame(*row)`` undoes it."""
    return [
        frame.source,
        frame.path,
        frame.group,
        frame.video,
        frame.frame,
        frame.split,
        frame.annotation,
    ]


class Walk:
    """One walk over a source that lets the wanted frames through, once.

    Iterating yields the chosen frames in the order of the source. A frame whose names cannot be
    stored as text is left out and added to the report of the source.

    Args:
        source: where the frames come from.
        splits: splits of origin to keep; None keeps every frame.
        limit: keep at most this many frames, the first ones.
        exclude: groups whose frames are left out; those of other sources may be among them.

    Attributes:
        found: frames the source has yielded so far.
        chosen: frames let through so far.
        excluded: frames held back so far because of `exclude`.

    Raises:
        InputError: a limit below 1; at the end of the iteration: a split that the source does not
            have, or nothing was chosen.
    """

    def __init__(
        self,
        source: Source,
        splits: Sequence[str] | None = None,
        limit: int | None = None,
        exclude: Collection[str] = (),
    ) -> None:
        if limit is not None and limit < 1:
            raise InputError(f"limit {limit}: must be at least 1")
        self.found = self.chosen = self.excluded = 0
        self._source = source
        self._splits = splits
        self._limit = limit
        self._exclude = frozenset(exclude)

    def __iter__(self) -> Iterator[Frame]:
        present: set[str] = set()
        for frame in self._source.frames():
            self.found += 1
            if frame.split is not None:
                present.add(frame.split)
            if self._splits is not None and frame.split not in self._splits:
                continue
            if frame.group in self._exclude:
                self.excluded += 1
            elif self._limit is None or self.chosen < self._limit:
                reason = _not_storable(frame)
                if reason is None:
                    self.chosen += 1
                    yield frame
                else:
                    self._source.report.add(reason, frame.path)
        self._check(present)

    def _check(self, present: set[str]) -> None:
        name = self._source.name
        for split in self._splits or []:
            if split not in present:
                known = ", ".join(sorted(present)) or "none"
                raise InputError(f"{name} has no split {split!r}; splits found: {known}")
        if not self.chosen:
            counts = Counter(self._source.report.counts)
            if self.excluded:
                counts["group left out"] = self.excluded
            raise no_usable_frame(name, counts)


def _not_storable(frame: Frame) -> str | None:
    """Why the index cannot hold this frame; None if it can."""
    for text in (frame.path, frame.group, frame.video, frame.split, frame.annotation):
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            return "name is not Unicode"
    if frame.frame is not None and not -(1 << 63) <= frame.frame < 1 << 63:
        return "frame number beyond 64 bits"
    return None


def select_frames(
    source: Source,
    splits: Sequence[str] | None = None,
    limit: int | None = None,
    exclude: Collection[str] = (),
) -> FrameSelection:
    """Walk a source and choose; all frames are held in memory.

    Args:
        source: where the frames come from.
        splits: splits of origin to keep; None keeps every frame.
        limit: keep at most this many frames, the first ones.
        exclude: groups whose frames are left out.

    Raises:
        InputError: a split that the source does not have, a limit below 1, or nothing is left.
    """
    walk = Walk(source, splits, limit, exclude)
    frames = list(walk)
    return FrameSelection(frames, walk.found, source.report)


def read_usable(source: Source, frame: Frame) -> np.ndarray:
    """Grey pixels of one frame, uint8, H×W.

    Raises:
        UnreadableFrame: the frame cannot be read, has no pixels, or shows one grey value only.
    """
    try:
        pixels = source.read(frame)
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        raise UnreadableFrame(_REASONS[error.errno]) from None
    if pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise TypeError(f"{source.name} read {pixels.dtype} {pixels.shape}, not uint8 H×W")
    if pixels.size == 0:
        raise UnreadableFrame("image without pixels")
    if pixels.min() == pixels.max():
        raise UnreadableFrame("constant image")
    return pixels


class SkipLog:
    """Everything that was left out: counts and examples in memory, long lists of paths on disk.

    Attributes:
        summary: reason → ``{"count", "examples"}``, at most 20 examples.
        first: path of the first one; None if nothing was left out.
    """

    def __init__(self) -> None:
        self.summary: dict[str, dict[str, Any]] = {}
        self.first: str | None = None
        self._paths: dict[str, Spool] = {}

    def add(self, reason: str, path: str) -> None:
        # A name that is not Unicode is a reason to be listed here, so the list has to hold it.
        path = path.encode("utf-8", "backslashreplace").decode()
        if self.first is None:
            self.first = path
        if reason not in self._paths:
            self._paths[reason] = Spool(_SPOOL_BYTES)
        self._paths[reason].append(json.dumps(path, ensure_ascii=False).encode())
        _count(self.summary, reason, path)

    def extend(self, items: Iterable[Skip]) -> None:
        for reason, path in items:
            self.add(reason, path)

    def take(self, report: SkipReport) -> None:
        """Move the paths of a source's report into this log; its counts stay."""
        self.extend(report.items)
        report.items.clear()

    @property
    def counts(self) -> dict[str, int]:
        return {reason: entry["count"] for reason, entry in self.summary.items()}

    def refuse(self) -> None:
        """The strict mode: raises `InputError` if anything was left out."""
        if self.first is not None:
            raise _refusal(self.counts, self.first)

    def write(self, path: Path) -> None:
        """Write all of it as JSON: ``{reason: {"count", "paths"}}``.

        Equal to `write_json` of that dictionary, which is never held in memory.
        """
        with atomic_write(path, "w") as stream:
            opening = "{"
            for reason, entry in sorted(self.summary.items()):
                key = json.dumps(reason, ensure_ascii=False)
                count = entry["count"]
                stream.write(f'{opening}\n  {key}: {{\n    "count": {count},\n    "paths": ')
                bracket = "["
                for line in self._paths[reason]:
                    stream.write(f"{bracket}\n      {line.decode()}")
                    bracket = ","
                stream.write("\n    ]\n  }")
                opening = ","
            stream.write("\n}\n" if self.summary else "{}\n")

    def close(self) -> None:
        """Give back the disk space."""
        for spool in self._paths.values():
            spool.close()


def _count(summary: dict[str, dict[str, Any]], reason: str, path: str) -> None:
    entry = summary.setdefault(reason, {"count": 0, "examples": []})
    entry["count"] += 1
    if entry["count"] <= _EXAMPLES:
        entry["examples"].append(path)


def take_notes(source: Source) -> list[Skip]:
    """What a source has noted on intensities since the last call."""
    if not isinstance(source, FolderSource):
        return []
    notes = source.notes.copy()
    source.notes.clear()
    return notes


def intensity_entry(notes: Iterable[Skip]) -> dict[str, Any]:
    """The entry of a manifest on how intensities were decided; none where all pictures say it."""
    summary = summarise_skips(notes)
    return {"intensity": summary} if summary else {}


def summarise_skips(items: Iterable[Skip]) -> dict[str, dict[str, Any]]:
    """Pairs of (reason, path) as reason → ``{"count", "examples"}``, at most 20 examples."""
    summary: dict[str, dict[str, Any]] = {}
    for reason, path in items:
        _count(summary, reason, path)
    return summary


def write_report(path: Path, items: Iterable[Skip]) -> None:
    """What was left out or noted, by reason, as JSON: ``{reason: {"count", "paths"}}``."""
    log = SkipLog()
    log.extend(items)
    log.write(path)
    log.close()


def counts_line(counts: Mapping[str, int]) -> str:
    """``"damaged image: 2, empty file: 1"``."""
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))


def reasons_line(items: Iterable[Skip]) -> str:
    """`counts_line` of skipped (reason, path) pairs."""
    return counts_line(Counter(reason for reason, _ in items))


def no_usable_frame(name: str, counts: Mapping[str, int]) -> InputError:
    """The error for a source of which nothing is left."""
    return InputError(f"{name}: no usable frame" + (f" ({counts_line(counts)})" if counts else ""))


def _refusal(counts: Mapping[str, int], first: str) -> InputError:
    total = sum(counts.values())
    return InputError(f"strict: {total} left out ({counts_line(counts)}), the first is {first}")


def refuse_skips(items: Sequence[Skip]) -> None:
    """The strict mode: anything left out is an error.

    Raises:
        InputError: `items` is not empty; the message counts by reason and names the first path.
    """
    if items:
        raise _refusal(Counter(reason for reason, _ in items), items[0][1])


def refuse_recorded_skips(path: Path, skipped: dict[str, dict[str, Any]]) -> None:
    """The strict mode for a store that is there already, from the skips in its manifest.

    Raises:
        InputError: frames were left out when it was made.
    """
    if skipped:
        counts = ", ".join(f"{reason}: {entry['count']}" for reason, entry in skipped.items())
        raise InputError(f"{path}: strict, but frames were left out of it ({counts})")
