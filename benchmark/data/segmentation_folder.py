"""A vessel segmentation task as plain files, the form that mmsegmentation reads.

``images/<split>/<stem>.png`` (8-bit grey, native size), ``masks/<split>/<stem>.png`` (0 background,
1 vessel) and ``manifest.json``, which lists every file with the hash of its pixels.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.data.frame import Frame, Source, UnreadableFrame
from benchmark.data.phash import perceptual_hash, pixel_sha256
from benchmark.data.progress import progress_bar
from benchmark.data.selection import (
    read_usable,
    reasons_line,
    refuse_recorded_skips,
    refuse_skips,
    select_frames,
    summarise_skips,
)
from benchmark.data.sources.files import IMAGE_EXTENSIONS
from benchmark.errors import InputError
from benchmark.files import fsync_folder, read_json, sha256_bytes, sha256_json, write_json

SCHEMA = "vessel-segmentation/1"
CLASSES = ["background", "vessel"]
MANIFEST = "manifest.json"

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_ENTRIES = {"images", "masks", MANIFEST}

Item = dict[str, Any]


class SegmentationFolder:
    """A finished segmentation folder.

    Attributes:
        path: the folder.
        task: name of the task.
        classes: class names by mask value.
        splits: split name → items, each ``{"stem", "sha256_image", "sha256_mask", "phash", "group",
            "path", "height", "width"}``; hashes are of the pixels (`pixel_sha256`), so they compare
            with those of packs.
        split_hash: identity of the task: classes, splits, stems, groups and all pixels.
        manifest: content of manifest.json.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.task: str = manifest["task"]
        self.classes: list[str] = manifest["classes"]
        self.splits: dict[str, list[Item]] = manifest["splits"]
        self.split_hash: str = manifest["split_hash"]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> SegmentationFolder:
        """Open and check a folder: every listed file has to be there.

        Raises:
            InputError: no such folder, not a segmentation folder, a list that does not fit its own
                hash, or a missing file (the message names it).
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"{path}: no such folder; make it with prepare_data")
        if not (path / MANIFEST).is_file():
            raise InputError(f"{path}: not a segmentation folder ({MANIFEST} is missing)")
        manifest = read_json(path / MANIFEST)
        schema = manifest.get("schema") if isinstance(manifest, dict) else None
        if schema != SCHEMA:
            raise InputError(f"{path}: not a segmentation folder of this version ({schema!r})")
        if manifest["split_hash"] != _split_hash(manifest["classes"], manifest["splits"]):
            raise InputError(f"{path / MANIFEST}: the lists were changed by hand; make it again")
        folder = cls(path, manifest)
        for split, items in folder.splits.items():
            for item in items:
                for file in (folder.image(split, item["stem"]), folder.mask(split, item["stem"])):
                    if not file.is_file():
                        raise InputError(f"{file}: missing from the segmentation folder")
        return folder

    def image(self, split: str, stem: str) -> Path:
        return self.path / "images" / split / f"{stem}.png"

    def mask(self, split: str, stem: str) -> Path:
        return self.path / "masks" / split / f"{stem}.png"


def write_segmentation_folder(
    source: Source,
    out: str | os.PathLike[str],
    task: str,
    val_fraction: float = 0,
    splits: Sequence[str] | None = None,
    limit: int | None = None,
    progress: bool = True,
    strict: bool = False,
) -> SegmentationFolder:
    """Write the frames of a source that have a mask and a split as a segmentation folder.

    The folder is put together in ``<out>.partial`` and renamed when it is whole. A finished one of
    the same frames and parameters is returned at once.

    Args:
        source: where frames and masks come from.
        out: the folder.
        task: name of the task.
        val_fraction: share of the training frames (0 ≤ share < 1) that becomes ``val``; whole
            groups where groups are known, chosen by a hash of their names.
        splits: splits of origin to keep; None keeps all.
        limit: at most this many frames, the first ones.
        progress: show it on stderr.
        strict: a frame that has to be left out is an error.

    Raises:
        InputError: a bad argument; no usable frame; `out` or ``<out>.partial`` is something else;
            `val_fraction` where the source has a val split or that leaves nothing to train on;
            something was left out under `strict`.
    """
    out = Path(out)
    if not 0 <= val_fraction < 1:
        raise InputError(f"val_fraction {val_fraction}: must be at least 0 and below 1")
    selection = select_frames(source, splits, limit)
    parameters = {
        "schema": SCHEMA,
        "source": source.name,
        "options": source.options,
        "task": task,
        "val_fraction": val_fraction,
        "splits": sorted(splits) if splits is not None else None,
        "limit": limit,
    }
    plan_hash = selection.plan_hash(parameters)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return _finished(SegmentationFolder.open(out), plan_hash, strict)
    skipped = list(selection.walk.items)
    frames = _with_mask_and_split(selection.frames, skipped)
    if strict:
        refuse_skips(skipped)
    assigned = _assign_splits(frames, val_fraction)
    partial = _fresh_partial(out)
    try:
        items = _write_files(source, frames, assigned, partial, skipped, progress)
        if strict:
            refuse_skips(skipped)
        if not items:
            raise InputError(f"{source.name}: no usable frame ({reasons_line(skipped)})")
    except InputError:
        shutil.rmtree(partial)
        raise
    manifest = {
        "schema": SCHEMA,
        "task": task,
        "classes": CLASSES,
        "plan_hash": plan_hash,
        "parameters": parameters,
        "splits": items,
        "split_hash": _split_hash(CLASSES, items),
        "split": {
            "origin": source.split_note + (f"; {_val_note(val_fraction)}" if val_fraction else ""),
            "official": source.official_split and not val_fraction,
        },
        "counts": {
            "found": selection.found,
            "chosen": len(selection.frames),
            "kept": sum(map(len, items.values())),
            "expected": source.expected,
            "splits": {split: len(listed) for split, listed in items.items()},
        },
        "skipped": summarise_skips(skipped),
    }
    write_json(partial / MANIFEST, manifest)
    os.replace(partial, out)
    fsync_folder(out.parent)
    return SegmentationFolder.open(out)


def _finished(folder: SegmentationFolder, plan_hash: str, strict: bool) -> SegmentationFolder:
    if folder.manifest["plan_hash"] != plan_hash:
        raise InputError(
            f"{folder.path}: already holds another task or selection; remove it or choose another "
            "folder"
        )
    if strict:
        refuse_recorded_skips(folder.path, folder.manifest["skipped"])
    return folder


def _split_hash(classes: list[str], splits: dict[str, list[Item]]) -> str:
    return sha256_json({"classes": classes, "splits": splits})


def _val_note(fraction: float) -> str:
    return f"{fraction:g} of train set apart as val by a hash of the group names, not the paper's"


def _with_mask_and_split(frames: list[Frame], skipped: list[tuple[str, str]]) -> list[Frame]:
    usable = []
    for frame in frames:
        if frame.annotation is None:
            skipped.append(("no mask", frame.path))
        elif frame.split is None:
            skipped.append(("no split", frame.path))
        else:
            usable.append(frame)
    return usable


def _assign_splits(frames: list[Frame], val_fraction: float) -> dict[str, str]:
    """Frame path → split, with whole groups moved from train to val."""
    assigned = {frame.path: str(frame.split) for frame in frames}
    if not val_fraction:
        return assigned
    if "val" in assigned.values():
        raise InputError("val_fraction: the source has a val split of its own; leave it at 0")
    units: dict[str, list[str]] = {}
    for frame in frames:
        if frame.split == "train":
            units.setdefault(frame.group or frame.path, []).append(frame.path)
    wanted = round(val_fraction * sum(map(len, units.values())))
    moved = 0
    for unit in sorted(units, key=lambda name: sha256_bytes(name.encode())):
        if moved >= wanted:
            break
        assigned.update(dict.fromkeys(units[unit], "val"))
        moved += len(units[unit])
    if "train" not in assigned.values():
        raise InputError(f"val_fraction {val_fraction}: leaves nothing to train on")
    return assigned


def _fresh_partial(out: Path) -> Path:
    partial = out.with_name(f"{out.name}.partial")
    if partial.exists():
        # Only what an earlier, interrupted call can have left is thrown away.
        if not partial.is_dir() or {entry.name for entry in partial.iterdir()} - _ENTRIES:
            raise InputError(f"{partial}: in the way, and not made by this command; move it")
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    return partial


def _safe_stem(path: str, taken: set[str]) -> str:
    """A file name made from `path`, unique without regard to case; remembered in `taken`."""
    base, extension = os.path.splitext(path)
    plain = (base if extension.lower() in IMAGE_EXTENSIONS else path).replace("/", "__")
    stem = _UNSAFE.sub("-", plain).lstrip(".-") or "frame"
    if stem != plain or stem.casefold() in taken:
        stem = f"{stem}-{sha256_bytes(path.encode())[:8]}"
    taken.add(stem.casefold())
    return stem


def _write_files(
    source: Source,
    frames: list[Frame],
    assigned: dict[str, str],
    partial: Path,
    skipped: list[tuple[str, str]],
    progress: bool,
) -> dict[str, list[Item]]:
    items: dict[str, list[Item]] = {}
    taken: set[str] = set()
    with progress_bar(f"write {source.name}", len(frames), 0, progress) as advance:
        for frame in frames:
            advance(1)
            try:
                image, mask = read_usable(source, frame), source.read_masks(frame).any(0)
                if mask.shape != image.shape:
                    raise UnreadableFrame("mask and image differ in size")
            except UnreadableFrame as error:
                skipped.append((str(error), frame.path))
                continue
            split = assigned[frame.path]
            stem = _safe_stem(frame.path, taken)
            labels = mask.astype(np.uint8)
            for kind, pixels in (("images", image), ("masks", labels)):
                folder = partial / kind / split
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / f"{stem}.png")
            item = {
                "stem": stem,
                "path": frame.path,
                "group": frame.group,
                "height": image.shape[0],
                "width": image.shape[1],
                "sha256_image": pixel_sha256(image),
                "sha256_mask": pixel_sha256(labels),
                "phash": perceptual_hash(image),
            }
            items.setdefault(split, []).append(item)
    return items
