"""Which frames of a source go into a store, and the account of those that do not."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.frame import Frame, SkipReport, Source, UnreadableFrame
from benchmark.errors import InputError
from benchmark.files import sha256_json, write_json

_EXAMPLES = 20


@dataclass(frozen=True)
class Selection:
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
        rows = [
            [f.source, f.path, f.group, f.video, f.frame, f.split, f.annotation]
            for f in self.frames
        ]
        return sha256_json({"frames": rows, "parameters": parameters})


def select_frames(
    source: Source, splits: Sequence[str] | None = None, limit: int | None = None
) -> Selection:
    """Walk a source and choose.

    Args:
        source: where the frames come from.
        splits: splits of origin to keep; None keeps every frame.
        limit: keep at most this many frames, the first ones.

    Raises:
        InputError: a split that the source does not have, a limit below 1, or nothing is left.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit {limit}: must be at least 1")
    frames = list(source.frames())
    present = sorted({f.split for f in frames if f.split is not None})
    for split in splits or []:
        if split not in present:
            known = ", ".join(present) or "none"
            raise InputError(f"{source.name} has no split {split!r}; splits found: {known}")
    chosen = (f for f in frames if splits is None or f.split in splits)
    selection = Selection(list(itertools.islice(chosen, limit)), len(frames), source.report)
    if not selection.frames:
        reasons = reasons_line(source.report.items)
        raise InputError(f"{source.name}: no usable frame" + (f" ({reasons})" if reasons else ""))
    return selection


def read_usable(source: Source, frame: Frame) -> np.ndarray:
    """Grey pixels of one frame, uint8, H×W.

    Raises:
        UnreadableFrame: the frame cannot be read, has no pixels, or shows one grey value only.
    """
    pixels = source.read(frame)
    if pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise TypeError(f"{source.name} read {pixels.dtype} {pixels.shape}, not uint8 H×W")
    if pixels.size == 0:
        raise UnreadableFrame("image without pixels")
    if pixels.min() == pixels.max():
        raise UnreadableFrame("constant image")
    return pixels


def summarise_skips(items: Iterable[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """Skipped (reason, path) pairs as reason → ``{"count", "examples"}``, at most 20 examples."""
    summary: dict[str, dict[str, Any]] = {}
    for reason, path in items:
        entry = summary.setdefault(reason, {"count": 0, "examples": []})
        entry["count"] += 1
        if entry["count"] <= _EXAMPLES:
            entry["examples"].append(path)
    return summary


def write_report(path: Path, items: Iterable[tuple[str, str]]) -> None:
    """Everything that was left out, by reason, as JSON: ``{reason: {"count", "paths"}}``."""
    report: dict[str, dict[str, Any]] = {}
    for reason, where in items:
        entry = report.setdefault(reason, {"count": 0, "paths": []})
        entry["count"] += 1
        entry["paths"].append(where)
    write_json(path, report)


def reasons_line(items: Iterable[tuple[str, str]]) -> str:
    """``"damaged image: 2, empty file: 1"``."""
    counts = Counter(reason for reason, _ in items)
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))


def refuse_skips(items: Sequence[tuple[str, str]]) -> None:
    """The strict mode: anything left out is an error.

    Raises:
        InputError: `items` is not empty; the message counts by reason and names the first path.
    """
    if items:
        line = reasons_line(items)
        raise InputError(f"strict: {len(items)} left out ({line}), the first is {items[0][1]}")


def refuse_recorded_skips(path: Path, skipped: dict[str, dict[str, Any]]) -> None:
    """The strict mode for a store that is there already, from the skips in its manifest.

    Raises:
        InputError: frames were left out when it was made.
    """
    if skipped:
        counts = ", ".join(f"{reason}: {entry['count']}" for reason, entry in skipped.items())
        raise InputError(f"{path}: strict, but frames were left out of it ({counts})")
