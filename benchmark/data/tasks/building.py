"""Building a downstream task from any source that is annotated for it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.data.denoising import FRAMES_PER_STUDY, Degradation
from benchmark.data.frame import Frame, Source, UnreadableFrame
from benchmark.data.image_hashes import perceptual_hash, pixel_sha256
from benchmark.data.prepared import open_prepared
from benchmark.data.progress import progress_bar
from benchmark.data.selection import read_usable, select_frames
from benchmark.data.skips import (
    Skip,
    intensity_entry,
    reasons_line,
    refuse_skips,
    summarise_skips,
    take_notes,
    write_report,
)
from benchmark.data.sources.files import IMAGE_EXTENSIONS
from benchmark.data.splits import split_by_group
from benchmark.data.task_status import split_hash as hash_of_splits
from benchmark.data.tasks.folder import MANIFEST, REPORT, SCHEMA, TaskFolder, TaskItem
from benchmark.data.tasks.writers import (
    DenoisingPairWriter,
    DenoisingWriter,
    DetectionWriter,
    SegmentationWriter,
    TaskWriter,
    save_images,
)
from benchmark.errors import InputError
from benchmark.files import sha256_bytes, write_json
from benchmark.files.locking import new_folder
from benchmark.files.temporary import TEMPORARY
from benchmark.schemas import TASK_KINDS

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_IMAGE_FOLDERS = ("images", "masks", "clean")
_WRITTEN = (
    *(f"{folder}/*/*{end}" for folder in _IMAGE_FOLDERS for end in (".png", TEMPORARY[1:])),
    *(f"annotations/*{end}" for end in (".json", TEMPORARY[1:])),
    *(MANIFEST, REPORT, TEMPORARY),
)
_MAX_STEM = 200  # of the 255 bytes of a file name, with room for endings and a hash
_VAL_SEED = 0


def write_task_folder(
    source: Source,
    out: str | os.PathLike[str],
    kind: str | None = None,
    task: str | None = None,
    val_fraction: float = 0,
    splits: Sequence[str] | None = None,
    limit: int | None = None,
    exclude: Collection[str] = (),
    degradation: Degradation | None = None,
    frames_per_group: int = FRAMES_PER_STUDY,
    progress: bool = True,
    strict: bool = False,
) -> TaskFolder:
    """Write the annotated frames of a source as a task folder.

    The folder is built in ``<out>.partial`` and renamed when complete. A finished one with the same
    frames and parameters is returned immediately.

    Arguments not listed here are those of `benchmark.data.packs.build_pack`.

    Args:
        kind: ``"segmentation"``, ``"detection"`` or ``"denoising"``; None: the source's usual one.
        task: name of the task; None: the source's.
        val_fraction: fraction of the training frames (0 ≤ fraction < 1) that becomes ``val``; by
            group where groups are known, selected by a hash of their names.
        degradation: denoising: noise and blur, where the source has no noisy frames of its own;
            None: the default of `Degradation`.
        frames_per_group: denoising: frames of each patient or study, where there are videos.

    Raises:
        InputError: a bad argument; a kind the source is not annotated for; no usable frame; `out`
            or ``<out>.partial`` is something else, or is being written by another process;
            `val_fraction` where the source has a val split or too few groups; no test split, where
            the source needs one; something was skipped under `strict`.
    """
    out = Path(out)
    if not 0 <= val_fraction < 1:
        raise InputError(f"val_fraction {val_fraction}: must be at least 0 and below 1")
    writer = _create_writer(source, kind, degradation, frames_per_group)
    task = task or source.task
    selection = select_frames(source, splits, limit, exclude)
    if splits is None:
        source.check_splits()
    parameters = {
        "schema": SCHEMA,
        "kind": writer.kind,
        "source": source.name,
        "options": source.options,
        "task": task,
        "val_fraction": val_fraction,
        "splits": sorted(splits) if splits is not None else None,
        "limit": limit,
        "exclude": sorted(exclude),
        **writer.parameters,
    }
    plan_hash = selection.plan_hash(parameters)
    finished = open_prepared(out, TaskFolder.open, "task folder", plan_hash, strict)
    if finished is not None:
        return finished
    skipped = list(selection.report.items)
    label = f"select {source.name}"
    with progress_bar(label, len(selection.frames), 0, progress) as advance:
        selected = writer.select(selection.frames, skipped, advance)
    skipped += [("no split", frame.path) for frame in selected if frame.split is None]
    frames = [frame for frame in selected if frame.split is not None]
    if strict:
        refuse_skips(skipped)
    frames = _hold_out(frames, val_fraction)
    with new_folder(out, _WRITTEN) as partial:
        items = _write_files(writer, frames, partial, skipped, progress)
        if strict:
            refuse_skips(skipped)
        if not items:
            raise _no_usable_frame(writer, skipped, len(selection.frames))
        notes = take_notes(source)
        write_report(partial / REPORT, [*skipped, *notes])
        manifest = {
            "schema": SCHEMA,
            "kind": writer.kind,
            "task": task,
            "classes": writer.classes,
            "plan_hash": plan_hash,
            "parameters": parameters,
            "splits": items,
            "split_hash": hash_of_splits(writer.kind, writer.classes, items),
            "split": _split_entry(source, val_fraction),
            "counts": {
                "found": selection.found,
                "chosen": len(frames),
                "set_aside": dict(selection.report.set_aside),
                "expected": source.expected,
                **_counts(items),
            },
            "skipped": summarise_skips(skipped),
            **intensity_entry(notes),
        }
        write_json(partial / MANIFEST, manifest)
    return TaskFolder.open(out)


def _create_writer(
    source: Source, kind: str | None, degradation: Degradation | None, frames_per_group: int
) -> TaskWriter:
    possible = [form for form in source.forms if form in TASK_KINDS]
    if kind is None and possible:
        kind = possible[0]
    if kind not in possible:
        names = ", ".join(possible) or "a pack only"
        raise InputError(f"{source.name}: not annotated for {kind or 'a task'}; it has {names}")
    if kind == "denoising" and source.has_noisy_frames:
        return DenoisingPairWriter(source)
    if kind == "denoising":
        return DenoisingWriter(source, degradation, frames_per_group)
    return SegmentationWriter(source) if kind == "segmentation" else DetectionWriter(source)


def _hold_out(frames: list[Frame], val_fraction: float) -> list[Frame]:
    """The frames, with complete groups moved from train to val."""
    if not val_fraction:
        return frames
    if any(frame.split == "val" for frame in frames):
        raise InputError("val_fraction: the source has a val split of its own; leave it at 0")
    units = {frame: frame.group or frame.path for frame in frames if frame.split == "train"}
    moved = split_by_group(Counter(units.values()), val_fraction, _VAL_SEED)
    return [replace(f, split="val") if units.get(f) in moved else f for f in frames]


def _safe_stem(path: str, taken: set[str]) -> str:
    """A file name derived from `path`, unique ignoring case; added to `taken`."""
    base, extension = os.path.splitext(path)
    plain = (base if extension.lower() in IMAGE_EXTENSIONS else path).replace("/", "__")
    stem = _UNSAFE.sub("-", plain).lstrip(".-") or "frame"
    if stem != plain or stem.casefold() in taken or len(stem) > _MAX_STEM:
        stem = f"{stem[:_MAX_STEM]}-{sha256_bytes(path.encode())[:8]}"
    taken.add(stem.casefold())
    return stem


def _write_files(
    writer: TaskWriter,
    frames: list[Frame],
    partial: Path,
    skipped: list[Skip],
    progress: bool,
) -> dict[str, list[TaskItem]]:
    items: dict[str, list[TaskItem]] = {}
    taken: set[str] = set()
    with progress_bar(f"write {writer.source.name}", len(frames), 0, progress) as advance:
        for frame in frames:
            advance(1)
            stem = _safe_stem(frame.path, taken)
            try:
                image = read_usable(writer.source, frame)
                files, extra = writer.read(frame, image, stem)
            except UnreadableFrame as error:
                skipped.append((str(error), frame.path))
                continue
            save_images(partial, frame.split, stem, files)
            item = {
                "stem": stem,
                "path": frame.path,
                "group": frame.group,
                "height": image.shape[0],
                "width": image.shape[1],
                "sha256_image": pixel_sha256(image),
                "phash": perceptual_hash(image),
                **extra,
            }
            items.setdefault(frame.split, []).append(item)
    writer.finish(partial)
    return items


def _no_usable_frame(writer: TaskWriter, skipped: list[Skip], count: int) -> InputError:
    none = f"none of {count} frames is annotated or reserved"
    first = f"; the first is {skipped[0][1]}" if skipped else ""
    return InputError(
        f"{writer.source.name}: no usable frame for {writer.kind} "
        f"({reasons_line(skipped) or none}){first}"
    )


def _split_entry(source: Source, val_fraction: float) -> dict[str, Any]:
    """Where the splits come from, and whether they are the official ones."""
    note = f"; {val_fraction:g} of train held out as val by group, not the paper's"
    return {
        "origin": source.split_note + (note if val_fraction else ""),
        "official": source.official_split and not val_fraction,
    }


def _counts(items: dict[str, list[TaskItem]]) -> dict[str, Any]:
    """Numbers of frames, also by split, of groups, and of boxes or frames per dose level if any."""
    every = [item for in_split in items.values() for item in in_split]
    counts: dict[str, Any] = {
        "kept": len(every),
        "splits": {split: len(in_split) for split, in_split in items.items()},
        "groups": len({i["group"] for i in every if i["group"]}),
    }
    if every and "boxes" in every[0]:
        counts["boxes"] = sum(len(item["boxes"]) for item in every)
    if every and "level" in every[0]:
        levels = Counter(str(item["level"]) for item in every)
        counts["levels"] = dict(sorted(levels.items()))
    return counts
