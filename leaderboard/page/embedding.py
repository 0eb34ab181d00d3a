"""The blocks of data that the page reads only when they are needed: runs and pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

#: An image with its predictions, see `leaderboard.pictures.gallery.Gallery`.
Entry = Mapping[str, Any]

_compact = json.JSONEncoder(separators=(",", ":"), sort_keys=True)
#: Quotation marks, colon and comma of a picture in its block.
_SYNTAX = 6
#: Keys of an entry and of its predictions whose values are names of pictures.
_PICTURES = ("frame", "truth", "mask", "picture")


def pack_runs(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Runs with everything that they share stored once, a tenth of their size.

    Returns:
        ``nodes``: ``[0, value]``; ``[1, keys, …]``, an object: numbers of the nodes of its keys (a
        list) and of each value; ``[2, …]``, a list: numbers of its values. ``runs``: id → number
        of its node.
    """
    nodes: list[list[Any]] = []
    places: dict[Any, int] = {}

    def add(node: list[Any]) -> int:
        nodes.append(node)
        return len(nodes) - 1

    def place(value: Any) -> int:
        simple = not isinstance(value, (dict, list))
        key = (value.__class__, value) if simple else _compact.encode(value)
        if key not in places:
            places[key] = add([0, value]) if simple else place_parts(value)
        return places[key]

    def place_parts(value: Any) -> int:
        if isinstance(value, dict):
            keys = sorted(value)
            return add([1, place(keys), *(place(value[key]) for key in keys)])
        if any(isinstance(item, (dict, list)) for item in value):
            return add([2, *map(place, value)])
        return add([0, value])

    return {"runs": {name: place_parts(run) for name, run in sorted(runs.items())}, "nodes": nodes}


def choose_entries(
    gallery: Sequence[Entry], pictures: Mapping[str, bytes], room: int
) -> list[Entry]:
    """The entries of a gallery whose pictures fit into `room` bytes of a page.

    The first images of all datasets come before the second ones. A picture of several entries
    counts once.
    """
    kept: list[int] = []
    names: set[str] = set()
    for number in _in_turn(gallery):
        new = set(picture_names(gallery[number])) - names
        size = sum(_SYNTAX + len(name) + _base64_length(pictures[name]) for name in new)
        size += len(_compact.encode(gallery[number])) + 1
        if size <= room:
            room -= size
            names |= new
            kept.append(number)
    return [gallery[number] for number in sorted(kept)]


def _in_turn(gallery: Sequence[Entry]) -> list[int]:
    """Numbers of the entries, one of every dataset after the other."""
    counts: dict[tuple[str, str], int] = {}
    turns = []
    for entry in gallery:
        place = (entry["board"], entry["dataset"])
        turns.append(counts.setdefault(place, 0))
        counts[place] += 1
    return sorted(range(len(gallery)), key=lambda number: (turns[number], number))


def picture_names(entry: Entry) -> Iterable[str]:
    """The pictures of an entry of the gallery."""
    for holder in (entry, *entry["predictions"]):
        yield from (holder[key] for key in _PICTURES if key in holder)


def embedded(entries: Iterable[Entry], pictures: Mapping[str, bytes]) -> dict[str, str]:
    """Name → content in base64 of the pictures of these entries."""
    names = {name for entry in entries for name in picture_names(entry)}
    return {name: base64.b64encode(pictures[name]).decode("ascii") for name in sorted(names)}


def _base64_length(content: bytes) -> int:
    return 4 * -(-len(content) // 3)


def omission(omitted: Sequence[Entry], gallery: Sequence[Entry], limit: float, named: bool) -> str:
    """Which entries of the gallery the page lacks, on one line; empty if it lacks none.

    Args:
        named: whether each image is named, or their number per dataset.
    """
    if not omitted:
        return ""
    groups = groupby(omitted, key=lambda entry: entry["dataset"])
    parts = []
    for dataset, entries in groups:
        images = [entry["image"] for entry in entries]
        parts.append(f"{dataset} {', '.join(images)}" if named else f"{len(images)} of {dataset}")
    return (
        f"{len(omitted)} of {len(gallery)} example images are not embedded, as the page would pass "
        f"{limit / 1e6:g} MB (--page-limit; --assets keeps pictures as files): "
        f"{'; '.join(parts)}"
    )
