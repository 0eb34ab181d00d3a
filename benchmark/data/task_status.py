"""What a prepared task holds, read from its manifest within milliseconds, without numpy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.files import list_folder, read_json, sha256_json

_PER_FRAME = {"segmentation": ("images", "masks"), "denoising": ("images", "clean")}


@dataclass(frozen=True)
class TaskStatus:
    """State of a folder that should hold a prepared task.

    Attributes:
        state: ``"prepared"``, ``"not prepared"``, or ``"damaged: …"`` with what is wrong.
        counts: split → number of frames.
        official: whether the split is that of the dataset's authors; None if not prepared.
        classes: names, without the background.
    """

    state: str
    counts: dict[str, int] = field(default_factory=dict)
    official: bool | None = None
    classes: tuple[str, ...] = ()


def split_hash(kind: str, classes: list[str], splits: dict[str, list[dict[str, Any]]]) -> str:
    """Identity of a task: its kind, classes, splits, stems, groups, pixels and annotations."""
    return sha256_json({"kind": kind, "classes": classes, "splits": splits})


def task_status(folder: Path, kind: str) -> TaskStatus:
    """The state of a task folder: its manifest is checked, and its files are counted.

    `tools/check.py data` checks their content.

    Args:
        folder: the folder, which need not exist.
        kind: ``"segmentation"``, ``"detection"`` or ``"denoising"``, as the config asks for.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        return TaskStatus("not prepared")
    try:
        manifest = read_json(path)
        splits, classes = manifest["splits"], manifest["classes"]
        official = manifest["split"]["official"] is True
        counts = {split: len(items) for split, items in splits.items()}
        changed = manifest["split_hash"] != split_hash(manifest["kind"], classes, splits)
    except (InputError, KeyError, TypeError, AttributeError):
        return TaskStatus("damaged: its manifest.json cannot be read")
    names = tuple(map(str, classes[1:] if kind == "segmentation" else classes))
    state = "prepared"
    if manifest["kind"] != kind:
        state = f"damaged: a {manifest['kind']} task, but the config is for {kind}"
    elif changed:
        state = "damaged: its lists were changed by hand"
    else:
        for split, count in counts.items():
            for name in _PER_FRAME.get(kind, ("images",)):
                place = folder / name / split
                there = len(list_folder(place, "*.png")) if place.is_dir() else 0
                if there < count:
                    state = f"damaged: {count - there} files missing from {name}/{split}"
    return TaskStatus(state, counts, official, names)
