"""Findings of a check of prepared data, and checks shared by packs and task folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmark.data.skips import summarise_skips
from benchmark.files import walk

LEAKAGE = "leakage"
"""Folder of the leakage reports inside a task folder, one subfolder per pre-training dataset."""

MAX_VESSEL_FRACTION = 0.5
"""Masks that cover a larger fraction of a frame may be inverted: vessels cover about 3–12 %."""


@dataclass
class Findings:
    """Result of one check. Errors need action; warnings are worth knowing.

    Attributes:
        path: the folder.
        kind: ``"pack"`` or the kind of task.
        identity: corpus hash or split hash.
        counts: counts in printing order.
        errors, warnings: (reason, where); reasons are few and fixed, so that they can be counted.
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


class FrameEntry(NamedTuple):
    """A frame listed in an index or manifest."""

    split: str | None
    path: str
    group: str | None
    sha256: str


def index_rows(index: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """Rows of some columns of an index, with None for missing values."""
    values = index[list(columns)].astype(object)
    return list(values.where(values.notna(), None).itertuples(index=False, name=None))


def check_entries(findings: Findings, entries: Collection[FrameEntry], strict: bool) -> None:
    """Find duplicate entries, duplicate images, and overlaps between splits.

    An overlap between splits is an error if `strict`, else a warning.
    """
    overlap = findings.error if strict else findings.warning
    findings.count("frames", len(entries))
    for split, number in sorted(Counter(entry.split for entry in entries if entry.split).items()):
        findings.count(f"  {split}", number)
    groups = [entry.group for entry in entries if entry.group is not None]
    findings.count("groups", len(set(groups)))
    findings.count("frames without a group", len(entries) - len(groups))
    seen: dict[str, FrameEntry] = {}
    paths: set[str] = set()
    for entry in entries:
        if entry.path in paths:
            findings.error("duplicate entry", entry.path)
        paths.add(entry.path)
        first = seen.setdefault(entry.sha256, entry)
        if first is entry:
            continue
        where = f"{entry.path} = {first.path}"
        if first.split == entry.split:
            findings.warning("duplicate image", where)
        else:
            overlap("same image in two splits", f"{where} ({first.split}, {entry.split})")
    splits: dict[str, set[str]] = {}
    for entry in entries:
        if entry.group is not None and entry.split is not None:
            splits.setdefault(entry.group, set()).add(entry.split)
    for group, names in sorted(splits.items()):
        if len(names) > 1:
            overlap("group in two splits", f"{group} ({', '.join(sorted(names))})")


def check_files(findings: Findings, listed: Collection[str]) -> None:
    """Warn about files not in `listed` (paths below the folder), except leakage reports."""
    unlisted: list[str] = []
    for entry in walk(findings.path, unlisted, hidden=True):
        path = findings.below(entry)
        if path not in listed and path.partition("/")[0] != LEAKAGE and not entry.is_dir():
            findings.warning("unlisted file", path)
    for line in unlisted:
        findings.error("folder that cannot be listed", line)


def warn_if_all(findings: Findings, count: str, warning: str) -> None:
    """Warn if `count` includes every frame."""
    if findings.counts.get(count) == findings.counts["frames"] > 0:
        findings.warning(warning, f"{findings.path.name}: {count} {findings.counts[count]}")


def is_constant(pixels: np.ndarray) -> bool:
    """Whether an image has a single value, or no pixels."""
    return pixels.size == 0 or bool((pixels == pixels.flat[0]).all())
