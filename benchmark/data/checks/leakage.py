"""Leakage of held-out frames into pre-training.

Every frame of the splits ``test`` and ``val`` of a task is compared with every frame of the
pre-training packs: equal pixels, near-duplicates (see `benchmark.data.checks.near_duplicates`), and
patients on both sides.
"""

from __future__ import annotations

import os
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark.data.checks.findings import LEAKAGE, FrameEntry, index_rows
from benchmark.data.checks.near_duplicates import PARAMETERS, NearDuplicates
from benchmark.data.checks.pair_sheet import NamedImage, draw_pair_sheet
from benchmark.data.formats.images import read_grayscale
from benchmark.data.frame import UnreadableFrame
from benchmark.data.packs import FramePack, PackCollection
from benchmark.data.packs.layout import FRAMES
from benchmark.data.progress import progress_bar
from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import MANIFEST
from benchmark.errors import InputError
from benchmark.files import read_json, read_object, sha256_json, write_json

SCHEMA = "leakage-report/1"
REPORT = "report.json"
SHEET = "pairs.png"
HELD_OUT_SPLITS = ("test", "val")

PAIRS_PER_FRAME = 100
"""Maximum number of listed pairs per held-out frame, worst first; all are counted."""

SHEET_PAIRS = 40

_BLOCK = 256


@dataclass(frozen=True)
class HeldOut:
    """The held-out frames of one task folder or pack.

    Attributes:
        path: the folder.
        name: name of the task, or of the pack's folder.
        kind: kind of task, or ``"pack"``.
        split_hash: split hash of a task, corpus hash of a pack.
        frames: frames that must not occur in pre-training.
        read: returns the frame at an index (grayscale, uint8, H×W).
    """

    path: Path
    name: str
    kind: str
    split_hash: str
    frames: list[FrameEntry]
    read: Callable[[int], np.ndarray]


class _FramePair(NamedTuple):
    """Sorted with identical pairs first, then by decreasing score."""

    similar: bool
    distance: float
    row: int
    flip: str


@dataclass
class _Matches:
    """Matches of one held-out frame; there may be as many as frames in the packs."""

    exact: int = 0
    similar: int = 0
    worst: list[_FramePair] = field(default_factory=list)

    def add(self, pair: _FramePair) -> None:
        self.similar += pair.similar
        self.exact += not pair.similar
        insort(self.worst, pair)
        del self.worst[PAIRS_PER_FRAME:]


def open_held_out(path: str | os.PathLike[str]) -> HeldOut:
    """The frames of the splits ``test`` and ``val`` of a task folder, or all frames of a pack.

    Raises:
        InputError: it is neither a pack nor a task folder, or holds no such frame.
    """
    path = Path(path)
    held_out = _of_pack(path) if (path / FRAMES).is_file() else _of_task(path)
    if not held_out.frames:
        raise InputError(f"{path}: no frame in the splits {' or '.join(HELD_OUT_SPLITS)}")
    return held_out


def _of_pack(path: Path) -> HeldOut:
    pack = FramePack.open(path)
    rows = index_rows(pack.index, "split", "path", "group", "sha256")
    frames = [FrameEntry(split or "all", *rest) for split, *rest in rows]
    name = path.resolve().name
    return HeldOut(
        path, name, "pack", pack.corpus_hash, frames, lambda row: _frame_pixels(pack, row)
    )


def _of_task(path: Path) -> HeldOut:
    folder = TaskFolder.open(path)
    # In denoising, the clean frame must not have been seen; its hash is the listed one.
    file_of = folder.clean if folder.kind == "denoising" else folder.image
    frames, files = [], []
    for split in HELD_OUT_SPLITS:
        for item in folder.splits.get(split, []):
            frames.append(FrameEntry(split, item["path"], item["group"], item["sha256_image"]))
            files.append(file_of(split, item["stem"]))

    def read(number: int) -> np.ndarray:
        try:
            return read_grayscale(files[number])
        except UnreadableFrame as error:
            raise InputError(f"{files[number]}: {error}; make {path} again") from None

    return HeldOut(path, folder.task, folder.kind, folder.split_hash, frames, read)


def _frame_pixels(pack: FramePack | PackCollection, row: int) -> np.ndarray:
    frames, _, valid = pack.gather([row], anatomy=False)
    return frames[0, : valid[0, 0], : valid[0, 1]]


def check_leakage(
    packs: PackCollection, held_out: Sequence[HeldOut], progress: bool = True
) -> list[dict[str, Any]]:
    """Compare all held-out frames with all frames of the packs, in one pass over the packs.

    Returns:
        A deterministic, JSON-able report for each of `held_out`: ``corpus_hash``, ``split_hash``,
        ``parameters``, ``pretrain`` and ``test`` (what was compared), ``counts``, ``groups``
        (patients on both sides), ``pairs`` and ``report_hash``, computed over the rest.
        In ``counts``, ``exact`` is the number of held-out frames with an identical frame in
        pre-training, ``similar`` the number with a near-duplicate only, and ``groups`` the number
        of shared patients.
    """
    offsets = np.cumsum([0, *(len(one.frames) for one in held_out)]).tolist()
    found = [_Matches() for _ in range(offsets[-1])]
    hashes = [frame.sha256 for one in held_out for frame in one.frames]
    _find_identical(packs, hashes, found)
    _find_similar(packs, held_out, hashes, found, progress)
    groups = Counter(packs.index["group"].dropna())
    return [
        _report(packs, one, found[start:end], groups)
        for one, start, end in zip(held_out, offsets, offsets[1:])
    ]


def _find_identical(packs: PackCollection, hashes: list[str], found: list[_Matches]) -> None:
    numbers = defaultdict(list)
    for number, sha256 in enumerate(hashes):
        numbers[sha256].append(number)
    for row, sha256 in enumerate(packs.index["sha256"]):
        for number in numbers.get(sha256, ()):
            found[number].add(_FramePair(False, 0.0, row, "none"))


def _find_similar(
    packs: PackCollection,
    held_out: Sequence[HeldOut],
    hashes: list[str],
    found: list[_Matches],
    progress: bool,
) -> None:
    with progress_bar("read held-out frames", len(hashes), 0, progress) as advance:

        def images() -> Iterator[np.ndarray]:
            for one in held_out:
                for number in range(len(one.frames)):
                    yield one.read(number)
                    advance(1)

        known = NearDuplicates(images())
    pixels = packs.index["sha256"].to_numpy()
    with progress_bar("compare with the packs", len(packs), 0, progress) as advance:
        for start in range(0, len(packs), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(packs)))
            frames, _, valid = packs.gather(rows, anatomy=False)
            block = [frame[:height, :width] for frame, (height, width) in zip(frames, valid)]
            for match in known.find(block):
                row = start + match.query
                if pixels[row] != hashes[match.row]:
                    pair = _FramePair(True, round(1 - match.score, 3), row, match.flip)
                    found[match.row].add(pair)
            advance(len(rows))


def _report(
    packs: PackCollection, held_out: HeldOut, found: list[_Matches], groups: Counter[str]
) -> dict[str, Any]:
    own = Counter(frame.group for frame in held_out.frames if frame.group is not None)
    shared = [
        {"group": group, "pretrain_frames": groups[group], "test_frames": own[group]}
        for group in sorted(own.keys() & groups.keys())
    ]
    splits: dict[str, Counter[str]] = defaultdict(Counter)
    for frame, one in zip(held_out.frames, found):
        splits[frame.split].update(
            frames=1, exact=one.exact > 0, similar=one.similar > 0 and not one.exact
        )
    pairs = _list_pairs(packs, held_out, found)
    report = {
        "schema": SCHEMA,
        "corpus_hash": packs.corpus_hash,
        "split_hash": held_out.split_hash,
        "parameters": {**PARAMETERS, "pairs_per_frame": PAIRS_PER_FRAME},
        "pretrain": {
            "packs": [
                {"name": p.path.resolve().name, "corpus_hash": p.corpus_hash, "frames": len(p)}
                for p in packs.packs
            ],
            "frames": len(packs),
            "without_group": len(packs) - sum(groups.values()),
        },
        "test": {
            "name": held_out.name,
            "kind": held_out.kind,
            "frames": len(held_out.frames),
            "without_group": len(held_out.frames) - sum(own.values()),
            "splits": {split: dict(counts) for split, counts in splits.items()},
        },
        "counts": {
            "exact": sum(counts["exact"] for counts in splits.values()),
            "similar": sum(counts["similar"] for counts in splits.values()),
            "groups": len(shared),
            "exact_pairs": sum(one.exact for one in found),
            "similar_pairs": sum(one.similar for one in found),
            "listed_pairs": len(pairs),
        },
        "groups": shared,
        "pairs": pairs,
    }
    return {**report, "report_hash": sha256_json(report)}


def _list_pairs(
    packs: PackCollection, held_out: HeldOut, found: list[_Matches]
) -> list[dict[str, Any]]:
    """Report entries of the pairs, worst first."""
    ordered = sorted((pair, number) for number, one in enumerate(found) for pair in one.worst)
    rows = packs.index.iloc[[pair.row for pair, _ in ordered]]
    return [
        {
            "kind": "similar" if pair.similar else "exact",
            "score": round(1 - pair.distance, 3),
            "flip": pair.flip,
            "pretrain": {"row": pair.row, "source": source, "path": path, "group": group},
            "test": {"number": number, **held_out.frames[number]._asdict()},
        }
        for (pair, number), (source, path, group) in zip(
            ordered, index_rows(rows, "source", "path", "group")
        )
    ]


def has_leakage(report: dict[str, Any]) -> bool:
    """Whether a report contains any leakage."""
    return any(report["counts"][key] for key in ("exact", "similar", "groups"))


def report_folder(folder: Path, corpus_hash: str) -> Path:
    """Folder of the report on a task folder and a pre-training dataset."""
    return folder / LEAKAGE / corpus_hash[:16]


def write_leakage_report(
    out: Path, report: dict[str, Any], packs: PackCollection, held_out: HeldOut
) -> None:
    """Write ``report.json`` and, if pairs were found, the contact sheet ``pairs.png``.

    The sheet shows the worst pair of each held-out frame, at most 40, with the pre-training frame
    (flipped to match) on the left.
    """
    worst = {}
    for pair in report["pairs"]:
        worst.setdefault(pair["test"]["number"], pair)
    shown = list(worst.values())[:SHEET_PAIRS]
    if shown:
        draw_pair_sheet(
            out / SHEET, (_sheet_entry(pair, packs, held_out) for pair in shown), len(shown)
        )
    else:
        (out / SHEET).unlink(missing_ok=True)
    write_json(out / REPORT, report)


def _sheet_entry(
    pair: dict[str, Any], packs: PackCollection, held_out: HeldOut
) -> tuple[str, NamedImage, NamedImage]:
    pretrain, test = pair["pretrain"], pair["test"]
    seen = _frame_pixels(packs, pretrain["row"])
    seen = seen[:, ::-1] if pair["flip"] in ("horizontal", "both") else seen
    seen = seen[::-1] if pair["flip"] in ("vertical", "both") else seen
    flip = "" if pair["flip"] == "none" else f", flip {pair['flip']}"
    return (
        f"{pair['kind']} {pair['score']:.3f}{flip}",
        (f"{pretrain['source']}/{pretrain['path']}", seen),
        (f"{test['split']}: {test['path']}", held_out.read(test["number"])),
    )


def find_leakage_report(folder: Path, corpus_hash: str) -> dict[str, Any] | None:
    """Leakage counts of a task folder and a pre-training dataset, if they were compared.

    Returns:
        ``{"report_hash", "exact", "similar", "groups"}`` (counts as in `check_leakage`); None if
        the two were not compared, or the task has changed since.

    Raises:
        InputError: the report was edited, or written by another version.
    """
    file = report_folder(folder, corpus_hash) / REPORT
    if not file.is_file():
        return None
    report = read_object(file)
    report_hash = report.pop("report_hash", None)
    if report.get("schema") != SCHEMA or sha256_json(report) != report_hash:
        raise InputError(
            f"{file}: was edited, or written by another version; run tools/check.py leakage again"
        )
    compared = report["corpus_hash"], report["split_hash"]
    if compared != (corpus_hash, read_json(folder / MANIFEST)["split_hash"]):
        return None
    counts = {key: report["counts"][key] for key in ("exact", "similar", "groups")}
    return {"report_hash": report_hash, **counts}
