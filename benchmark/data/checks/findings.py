"""What a check of prepared data found, and what packs and task folders are both checked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark.data.checks.leakage import FOLDER
from benchmark.data.skips import summarise_skips
from benchmark.files import walk


@dataclass
class Findings:
    """Result of one check. Errors call for an action; warnings are worth knowing.

    Attributes:
        path: the folder.
        kind: ``"pack"`` or the kind of the task.
        identity: its corpus hash or split hash.
        counts: what was counted, in the order of printing.
        errors, warnings: (reason, where); reasons are few and fixed, to be counted.
    """

    path: Path
    kind: str
    identity: str
    counts: dict[str, int] = field(default_factory=dict)
    errors: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + int(number)

    def error(self, reason: str, where: str) -> None:
        self.errors.append((reason, where))

    def warning(self, reason: str, where: str) -> None:
        self.warnings.append((reason, where))

    def below(self, file: Path) -> str:
        """Path of a file below the folder, with ``/`` on every system."""
        return file.relative_to(self.path).as_posix()

    def summary(self) -> dict[str, Any]:
        """JSON-able: errors and warnings by reason, each with its count and 20 examples."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "identity": self.identity,
            "counts": self.counts,
            "errors": summarise_skips(self.errors),
            "warnings": summarise_skips(self.warnings),
        }


class ListedFrame(NamedTuple):
    """One listed frame."""

    split: str | None
    path: str
    group: str | None
    sha256: str


def check_entries(findings: Findings, entries: Collection[ListedFrame], strict: bool) -> None:
    """Frames listed twice, equal pictures, and what lies on both sides of a split.

    Args:
        findings: where to add.
        entries: all frames.
        strict: whether an overlap of two splits is an error. It is a warning where nobody can
            mend it, because the authors of the data published the split.
    """
    across = findings.error if strict else findings.warning
    findings.count("frames", len(entries))
    for split, number in sorted(Counter(entry.split for entry in entries if entry.split).items()):
        findings.count(f"  {split}", number)
    groups = {entry.group for entry in entries if entry.group is not None}
    findings.count("groups", len(groups))
    findings.count("frames without a group", sum(entry.group is None for entry in entries))
    seen: dict[str, ListedFrame] = {}
    paths: set[str] = set()
    for entry in entries:
        if entry.path in paths:
            findings.error("listed twice", entry.path)
        paths.add(entry.path)
        first = seen.setdefault(entry.sha256, entry)
        if first is entry:
            continue
        where = f"{entry.path} = {first.path}"
        if first.split == entry.split:
            findings.warning("same picture twice", where)
        else:
            across("same picture in two splits", f"{where} ({first.split}, {entry.split})")
    for group, splits in _splits_of(entries):
        across("group in two splits", f"{group} ({', '.join(splits)})")


def _splits_of(entries: Iterable[ListedFrame]) -> list[tuple[str, list[str]]]:
    """Groups that are in more than one split, with these splits."""
    splits: dict[str, set[str]] = {}
    for entry in entries:
        if entry.group is not None and entry.split is not None:
            splits.setdefault(entry.group, set()).add(entry.split)
    return [(group, sorted(names)) for group, names in sorted(splits.items()) if len(names) > 1]


def check_files(findings: Findings, listed: Collection[str]) -> None:
    """Warn of files that are not `listed` (paths below the folder); leakage reports are passed."""
    unlisted: list[str] = []
    for entry in walk(findings.path, unlisted, hidden=True):
        path = findings.below(entry)
        if path not in listed and path.partition("/")[0] != FOLDER and not entry.is_dir():
            findings.warning("file that is not listed", path)
    for line in unlisted:
        findings.error("folder that cannot be listed", line)


MOST = 0.5
"""A mask that covers more than this share of a frame may be inverted: vessels cover some 3–12 %."""


def warn_of_bare(findings: Findings, bare: str, warning: str) -> None:
    """Warn where every frame is among those counted as `bare`."""
    if findings.counts.get(bare) == findings.counts["frames"] > 0:
        findings.warning(warning, f"{findings.path.name}: {bare} {findings.counts[bare]}")


def is_constant(pixels: np.ndarray) -> bool:
    """Whether a picture shows one value only, or nothing at all."""
    return pixels.size == 0 or bool((pixels == pixels.flat[0]).all())
