"""Frames found, kept and skipped beside the published counts: what is printed after a build."""

from __future__ import annotations

from typing import Any

CountRow = tuple[str, str, str]

_GROUPS = {"studies", "patients"}
_NOT_SOURCES = {*_GROUPS, "boxes"}
_SELECTED = {
    "thinned": "near-duplicates, dropped",
    "excluded": "in excluded groups",
}


def count_rows(manifest: dict[str, Any]) -> list[CountRow]:
    """Label, count and note of every row, from the manifest of a pack or a task folder.

    Published counts are printed beside those found, and never compared: the rules by which the
    published frames were selected are mostly unknown.
    """
    counts = manifest["counts"]
    published = dict(counts["expected"])
    rows = [_row("frames found", counts["found"], published.pop("frames", None))]
    sources = counts.get("sources", {})
    parts = sorted({*sources, *published} - _NOT_SOURCES)
    rows += [
        _row(f"  {name}", sources.get(name, 0), published.pop(name, None))
        for name in parts
        if len(sources) > 1 or name in published
    ]
    if counts["chosen"] != counts["found"]:
        rows.append(_row("chosen", counts["chosen"]))
    rows += [_row(label, counts[key]) for key, label in _SELECTED.items() if counts.get(key)]
    rows += [_row(f"set aside, {why}", n) for why, n in counts.get("set_aside", {}).items()]
    rows.append(_row("kept", counts["kept"]))
    rows += [_row(f"  {split}", count) for split, count in sorted(counts["splits"].items())]
    for name in sorted(published):
        key = "groups" if name in _GROUPS else name
        rows.append(_row(name, counts.get(key, 0), published[name]))
    for level, count in counts.get("levels", {}).items():
        rows.append(_row(f"dose level {level}", count))
    for label, key in (("reported", "skipped"), ("intensity", "intensity")):
        for reason, entry in sorted(manifest.get(key, {}).items()):
            note = f"e.g. {entry['examples'][0]}" if entry["examples"] else ""
            rows.append((f"{label}, {reason}", f"{entry['count']:,}", note))
    return rows


def _row(label: str, count: int, published: int | None = None) -> CountRow:
    return label, f"{count:,}", f"published: {published:,}" if published else ""


def format_rows(manifest: dict[str, Any]) -> list[str]:
    """The rows as aligned text, with a sentence on where the split comes from."""
    rows = count_rows(manifest)
    width = max(len(row[0]) for row in rows)
    text = [f"{label:<{width}}  {count:>9}  {note}".rstrip() for label, count, note in rows]
    if manifest["counts"]["splits"]:
        official = "official" if manifest["split"]["official"] else "not official"
        text.append(f"split: {manifest['split']['origin']} ({official})")
    return text
