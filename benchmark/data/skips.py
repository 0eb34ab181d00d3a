"""What was skipped, by reason: counts, reports, and the error of strict mode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmark.data.frame import Source
from benchmark.data.sources.files import FolderSource
from benchmark.errors import InputError
from benchmark.files import write_json

_EXAMPLES = 20

Skip = tuple[str, str]
"""Reason and path."""


def summarise_skips(items: Iterable[Skip]) -> dict[str, dict[str, Any]]:
    """Reason → ``{"count", "examples"}``, at most 20 examples."""
    return {
        reason: {"count": len(paths), "examples": paths[:_EXAMPLES]}
        for reason, paths in _by_reason(items).items()
    }


def write_report(path: Path, items: Iterable[Skip]) -> None:
    """Write all paths by reason as JSON: ``{reason: {"count", "paths"}}``."""
    reasons = _by_reason(items).items()
    write_json(path, {reason: {"count": len(paths), "paths": paths} for reason, paths in reasons})


def _by_reason(items: Iterable[Skip]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for reason, path in items:
        reasons.setdefault(reason, []).append(path)
    return reasons


def reasons_line(items: Iterable[Skip]) -> str:
    """``"damaged image: 2, empty file: 1"``."""
    counts = Counter(reason for reason, _ in items)
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))


def refuse_skips(items: Sequence[Skip]) -> None:
    """Strict mode: raise `InputError`, with counts and the first path, if anything was skipped."""
    if items:
        raise InputError(
            f"strict: {len(items)} skipped ({reasons_line(items)}), the first is {items[0][1]}"
        )


def no_usable_frame(name: str, items: Iterable[Skip]) -> InputError:
    """The error for a source none of whose frames can be used."""
    reasons = reasons_line(items)
    return InputError(f"{name}: no usable frame" + (f" ({reasons})" if reasons else ""))


def take_notes(source: Source) -> list[Skip]:
    """What a source has noted about intensities since the last call."""
    if not isinstance(source, FolderSource):
        return []
    notes = source.notes.copy()
    source.notes.clear()
    return notes


def intensity_entry(notes: Iterable[Skip]) -> dict[str, Any]:
    """The manifest entry on how intensities were decided; empty if every file states them."""
    summary = summarise_skips(notes)
    return {"intensity": summary} if summary else {}
