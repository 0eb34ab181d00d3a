"""Splits: by group and seed, or from a user's list."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.data.formats.list_files import name_key, read_list_file, refuse_windows_path
from benchmark.data.frame import Frame, SkipReport
from benchmark.errors import InputError
from benchmark.files import list_folder

SPLITS = ("train", "val", "test")

_ALIASES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_WINDOW = 100
_SEPARATORS = re.compile(r"[,;\t]")


def split_named(text: str) -> str | None:
    """The split that the name of a folder or file contains; None unless it is exactly one.

    The name is compared word by word: ``seg_train`` and ``Training`` are train, ``test_labels`` is
    test, ``constraint`` none.
    """
    return named_by_word(text, _ALIASES)


def split_of(path: Path, root: Path) -> str | None:
    """The split that the innermost folder of a file names; None where none does."""
    folders = path.relative_to(root).parts[:-1][::-1]
    return next(filter(None, map(split_named, folders)), None)


def named_by_word(text: str, meanings: Mapping[str, str]) -> str | None:
    """What the words of `text` mean; None unless exactly one meaning is among them."""
    words = re.split(r"[^a-z]+", text.casefold())
    found = {meanings[word] for word in words if word in meanings}
    return found.pop() if len(found) == 1 else None


def split_by_group(counts: Mapping[str, int], share: float, seed: int) -> set[str]:
    """Groups (patients, usually) that together hold about `share` of all frames.

    Groups are sorted by a hash of (seed, group) and taken from the front; among the 100 groups
    before and after the cut, those are exchanged that bring the number of frames closest to the
    share. The result depends on the seed, the names and the counts, not on the order of the input,
    and up to 100 groups no other choice is closer.

    Args:
        counts: group → its number of frames, at least 1.
        share: above 0 and below 1.
        seed: a different seed gives different groups.

    Returns:
        The chosen groups: at least one, and not all.

    Raises:
        InputError: fewer than two groups, or `share` out of range.
    """
    if not 0 < share < 1:
        raise InputError(f"share {share}: must be above 0 and below 1")
    if len(counts) < 2:
        raise InputError(f"a split by group needs at least 2 groups, and there are {len(counts)}")
    order = _in_hash_order(counts, seed)
    total = sum(counts.values())
    target = share * total
    cut = taken = 0
    while cut < len(order) and taken + counts[order[cut]] <= target:
        taken += counts[order[cut]]
        cut += 1
    first = max(0, cut - _WINDOW)
    chosen, window = set(order[:first]), order[first : cut + _WINDOW]
    taken = sum(counts[group] for group in chosen)

    # Subset sum: bit s of reachable[i] says whether some of window[i:] hold exactly s frames.
    reachable = [1]
    for group in reversed(window):
        reachable.append(reachable[-1] | reachable[-1] << counts[group])
    reachable.reverse()
    sums = (s for s, bit in enumerate(reversed(f"{reachable[0]:b}")) if bit == "1")
    allowed = (s for s in sums if 0 < taken + s < total)
    wanted = min(allowed, key=lambda s: (abs(taken + s - target), s))
    for group, later in zip(window, reachable[1:]):
        if wanted >= counts[group] and later >> (wanted - counts[group]) & 1:
            chosen.add(group)
            wanted -= counts[group]
    return chosen


def nested_subset(counts: Mapping[str, int], share: float, seed: int) -> set[str]:
    """The first groups, sorted by a hash, that hold at least `share` (0 < share ≤ 1) of all frames.

    Subsets are nested: that of a smaller share is part of that of a larger one, so label efficiency
    is measured on growing sets. Arguments as for `split_by_group`; `InputError` only if `share` is
    out of range.
    """
    if not 0 < share <= 1:
        raise InputError(f"label fraction {share}: must be above 0 and at most 1")
    wanted = share * sum(counts.values())
    chosen: set[str] = set()
    taken = 0
    for group in _in_hash_order(counts, seed):
        # Rounding must not add a group: 0.1 · 30 is a little more than 3.
        if taken >= wanted - 1e-9:
            break
        chosen.add(group)
        taken += counts[group]
    return chosen


def nested_draw(groups: Mapping[str, str], count: int, seed: int) -> set[str]:
    """Draw `count` names, group by group: all of a group before the first of the next.

    Groups, and the names within one, are sorted by a hash of (seed, name) and taken from the front:
    a smaller draw with the same seed is part of a larger one.

    Args:
        groups: name → its group (patient, usually).
        count: at most the number of names.
        seed: a different seed gives different names.
    """
    ranks = {group: rank for rank, group in enumerate(_in_hash_order(set(groups.values()), seed))}
    order = sorted(_in_hash_order(groups, seed), key=lambda name: ranks[groups[name]])
    return set(order[:count])


def _in_hash_order(groups: Iterable[str], seed: int) -> list[str]:
    return sorted(groups, key=lambda group: hashlib.sha256(f"{seed}\n{group}".encode()).digest())


def split_by_patient(
    frames: Sequence[Frame], share: float, seed: int, report: SkipReport
) -> Iterator[Frame]:
    """The frames with the split ``test`` for patients chosen by `split_by_group`, else ``train``.

    A video or image of an unknown patient is a group of its own. Frames of a single patient get no
    split, which is counted in `report`.
    """
    units = [frame.group or frame.video or frame.path for frame in frames]
    counts = Counter(units)
    test: set[str] = set()
    if len(counts) > 1:
        test = split_by_group(counts, share, seed)
    elif frames:
        report.add("too few patients to split", units[0])
    for frame, unit in zip(frames, units):
        split = "test" if unit in test else "train"
        yield replace(frame, split=split if test else None)


def split_by_list(
    frames: Iterable[Frame],
    listed: Mapping[str, str],
    names: Callable[[Frame], Iterable[str]],
    report: SkipReport,
) -> Iterator[Frame]:
    """The frames with the splits of a list; none for those it does not name, which are counted.

    Args:
        frames: to be split.
        listed: from `read_split_list`.
        names: what a frame may be listed as; the first name found counts.
        report: also counts listed names without a frame.
    """
    unused = set(listed)
    for frame in frames:
        found = [key for key in map(name_key, names(frame)) if key in listed]
        unused.difference_update(found)
        if not found:
            report.add("frame not in the split list", frame.path)
        yield replace(frame, split=listed[found[0]] if found else None)
    for name in sorted(unused):
        report.add("listed name without a frame", name)


def read_split_list(path: str | os.PathLike[str]) -> dict[str, str]:
    """`read_split_file` with names as `name_key` compares them, and ``/`` between folders."""
    listed = read_split_file(path).items()
    return {name_key(name.replace("\\", "/")): split for name, split in listed}


def read_split_file(path: str | os.PathLike[str]) -> dict[str, str]:
    """Name → split (``"train"``, ``"val"`` or ``"test"``), from a user's list.

    A line is ``name,split`` (or with a semicolon or a tab), or a name alone if the file's own name
    contains its split: ``test.txt``. Every csv and txt file of a folder is read. Blank lines, lines
    that begin with ``#`` and a first line ``name,split`` are skipped.

    Raises:
        InputError: a file or line cannot be used, or a name is in two splits.
    """
    path = Path(path)
    files = [path]
    if path.is_dir():
        files = [f for f in list_folder(path) if f.suffix.lower() in {".csv", ".txt"}]
    splits: dict[str, str] = {}
    for file in files:
        for number, line in enumerate(read_list_file(file).splitlines(), start=1):
            cells = [cell.strip().strip('"') for cell in _SEPARATORS.split(line)]
            if not any(cells) or line.lstrip().startswith("#"):
                continue
            if number == 1 and [cell.casefold() for cell in cells[1:]] == ["split"]:
                continue
            name, split = _name_and_split(file, number, cells)
            refuse_windows_path(name, f"{file}, line {number}")
            if splits.setdefault(name, split) != split:
                raise InputError(f"{file}, line {number}: {name} is in {splits[name]} already")
    if not splits:
        raise InputError(f"{path}: lists no name; write lines of the form name,split")
    return splits


def _name_and_split(file: Path, number: int, cells: list[str]) -> tuple[str, str]:
    where = f"{file}, line {number}"
    if len(cells) == 1:
        split = split_named(file.stem)
        if split is None:
            raise InputError(f"{where}: no split; write name,split or call the file test.txt")
        return cells[0], split
    if len(cells) != 2 or not cells[0]:
        raise InputError(f"{where}: not of the form name,split")
    if cells[1].casefold() not in _ALIASES:
        raise InputError(f"{where}: unknown split {cells[1]!r}; one of {', '.join(SPLITS)}")
    return cells[0], _ALIASES[cells[1].casefold()]
