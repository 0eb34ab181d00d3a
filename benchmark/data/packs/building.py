"""Building a pack: select frames, decode them, write them in chunks, write the index.

An interrupted build resumes at the chunk where it stopped.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.data.frame import Source
from benchmark.data.image_hashes import hamming_distance
from benchmark.data.packs.chunks import WRITTEN, ChunkLog, ChunkRecord
from benchmark.data.packs.decoding import RESIZE, decode
from benchmark.data.packs.layout import (
    FRAMES,
    INDEX,
    MANIFEST,
    NUMBER_COLUMNS,
    REPORT,
    SCHEMA,
    TEXT_COLUMNS,
    hash_frames,
)
from benchmark.data.packs.reading import FramePack
from benchmark.data.prepared import open_prepared
from benchmark.data.progress import progress_bar
from benchmark.data.selection import FrameSelection, select_frames
from benchmark.data.skips import (
    intensity_entry,
    no_usable_frame,
    refuse_skips,
    summarise_skips,
    write_report,
)
from benchmark.errors import InputError
from benchmark.files import atomic_write, fsync, fsync_folder, naming, remove_written, write_json
from benchmark.files.locking import clear_partial, hold, lock_beside, make_partial, partial_folder
from benchmark.files.temporary import TEMPORARY

CHUNK = 256
"""Maximum frames per chunk: the most that an interruption loses."""

CHUNK_BYTES = 1 << 26
"""Maximum bytes per chunk."""

CHUNKS_AHEAD = 4
"""Chunks decoded ahead of writing: at most 256 MiB of pixels."""

ROW_GROUP = 1 << 15
"""Rows per row group of the index."""

_WRITTEN = (FRAMES, INDEX, MANIFEST, REPORT, *WRITTEN, TEMPORARY)

_TABLE = pa.schema(
    [(name, pa.string()) for name in TEXT_COLUMNS]
    # Frame numbers may be time stamps.
    + [(name, pa.int64() if name == "frame" else pa.int32()) for name in NUMBER_COLUMNS]
)


def build_pack(
    source: Source,
    out: str | os.PathLike[str],
    size: int = 512,
    splits: Sequence[str] | None = None,
    limit: int | None = None,
    workers: int = 0,
    progress: bool = True,
    strict: bool = False,
    thin: int = 0,
    exclude: Collection[str] = (),
) -> FramePack:
    """Decode the frames of a source once, into the pack `out`.

    The pack is built in ``<out>.partial`` and renamed when it is complete. An interrupted call
    is resumed by the next one; the result has the same bytes whatever the interruptions and the
    number of workers. A finished pack of the same frames and parameters is returned at once.

    Args:
        size: side of the squares in pixels, a multiple of 8.
        splits: original splits to keep; None keeps all.
        limit: maximum number of frames, taken from the start, before thinning.
        workers: decoding processes; 0 decodes in this one.
        strict: a skipped frame is an error.
        thin: bits, 0–64. A frame of a video is dropped if its perceptual hash (`perceptual_hash`)
            differs in fewer bits from that of the last kept frame of the video; 0 keeps all.
        exclude: groups whose frames are dropped, such as the patients of a test set; groups unknown
            to the source are ignored.

    Raises:
        InputError: a bad argument; no usable frame; `out` is not a pack, or one of other frames or
            parameters; an unfinished pack has others, is damaged, or is being written by another
            process; a worker was killed; a frame was skipped under `strict`.
    """
    if size < 8 or size % 8:
        raise InputError(f"size {size}: must be a positive multiple of 8")
    if workers < 0:
        raise InputError(f"workers {workers}: must not be negative")
    if not 0 <= thin <= 64:
        raise InputError(f"thin {thin}: must be from 0 to 64, the bits of a perceptual hash")
    out = Path(out)
    selection = select_frames(source, splits, limit, exclude)
    if strict:
        refuse_skips(selection.report.items)
    parameters = {
        "source": source.name,
        "options": source.options,
        "size": size,
        "resize": RESIZE,
        "splits": sorted(splits) if splits is not None else None,
        "limit": limit,
        # Only if used, so that the hashes of other packs do not depend on them.
        **({"thin": thin} if thin else {}),
        **({"exclude": sorted(set(exclude))} if exclude else {}),
    }
    plan = {"plan_hash": selection.plan_hash(parameters), "versions": _versions()}

    def finished() -> FramePack | None:
        return open_prepared(out, FramePack.open, "pack", plan["plan_hash"], strict)

    if (pack := finished()) is not None:
        return pack
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_folder(out)
    with naming(out), hold(lock_beside(out), out, "being written"):
        if (pack := finished()) is not None:  # by the previous holder of the lock
            return pack
        make_partial(partial, _WRITTEN, clear=False)
        log = ChunkLog(partial)
        if not (partial / MANIFEST).exists():
            _check_plan(partial, log.begin(plan), plan)
            _write_frames(selection, log, size, workers, progress, strict, thin)
            _write_index(selection, log, plan, parameters)
        _check_plan(partial, log.read_object(partial / MANIFEST), plan)
        # Including what a kill during `atomic_write` left behind.
        remove_written(partial, (*WRITTEN, TEMPORARY))
        os.replace(partial, out)
        fsync_folder(out.parent)
    return finished()


def _versions() -> dict[str, str]:
    """Versions that can change decoded or resized pixels."""
    packages = {name: importlib.metadata.version(name) for name in ("numpy", "pillow")}
    return {"python": platform.python_version(), **packages}


def _check_plan(partial: Path, found: dict[str, Any], plan: dict[str, Any]) -> None:
    for key, what in (("plan_hash", "frames or parameters"), ("versions", "package versions")):
        if found.get(key) != plan[key]:
            raise InputError(f"{partial}: was started with other {what}; remove it to start over")


def _is_near_duplicate(row: dict[str, Any], last: dict[str, Any] | None, bits: int) -> bool:
    """Whether the hashes of two frames of a video differ in fewer than `bits` bits, by index rows.

    `last` is the last kept frame with a video: those without one are always kept, and do not end
    the run of frames that is a video.
    """
    same_video = last is not None and last["video"] == row["video"]
    return same_video and hamming_distance(last["phash"], row["phash"]) < bits


def _write_frames(
    selection: FrameSelection,
    log: ChunkLog,
    size: int,
    workers: int,
    progress: bool,
    strict: bool,
    thin: int,
) -> None:
    """Decode the frames not yet in `log`, and write their squares and chunk records."""
    source, partial = selection.source, log.partial
    log.resume(strict)
    done = sum(record.frames for record in log.records)
    kept = sum(len(record.rows) for record in log.records)
    frames = selection.frames[done:]
    if not thin:  # otherwise the number of kept frames is unknown
        _check_space(partial, len(frames) * size**2)
    chunk = max(1, min(CHUNK, CHUNK_BYTES // size**2))
    earlier = (row for record in reversed(log.records) for row in reversed(record.rows))
    last = next((row for row in earlier if row["video"] is not None), None)
    with (
        open(partial / FRAMES, "ab") as stream,
        progress_bar(f"pack {source.name}", len(selection.frames), done, progress) as advance,
        closing(decode(source, frames, size, workers, ahead=CHUNKS_AHEAD * chunk)) as decoded,
    ):
        if stream.tell() < kept * size**2:
            raise InputError(f"{partial / FRAMES}: too short; remove {partial} to start over")
        stream.truncate(kept * size**2)
        for start in range(0, len(frames), chunk):
            record = ChunkRecord()
            for frame, result in zip(frames[start : start + chunk], decoded):
                record.notes += result.notes
                if result.unusable is not None:
                    record.skipped.append((result.unusable, frame.path))
                elif _is_near_duplicate(result.row, last, thin):
                    record.thinned += 1
                else:
                    record.rows.append(result.row)
                    stream.write(result.square)
                    last = result.row if result.row["video"] is not None else last
            if strict:
                refuse_skips(record.skipped)
            # The record vouches for the pixels, which must reach the disk first.
            stream.flush()
            fsync(stream.fileno(), partial / FRAMES)
            log.append(record)
            advance(record.frames)
    if not any(record.rows for record in log.records):
        skipped = [skip for record in log.records for skip in record.skipped]
        clear_partial(partial, _WRITTEN)
        raise no_usable_frame(source.name, [*selection.report.items, *skipped])


def _check_space(partial: Path, needed: int) -> None:
    free = shutil.disk_usage(partial).free
    if needed > free:
        raise InputError(
            f"{partial.parent}: the pack needs {needed / 1e9:.1f} GB more, {free / 1e9:.1f} GB are "
            "free; choose a smaller size or another folder"
        )


def _write_index(
    selection: FrameSelection,
    log: ChunkLog,
    plan: dict[str, Any],
    parameters: dict[str, Any],
) -> None:
    """Write index, report and, last, the manifest."""
    source, partial, records = selection.source, log.partial, log.records
    table = pa.Table.from_pylist([row for record in records for row in record.rows], schema=_TABLE)
    with atomic_write(partial / INDEX) as stream:
        pq.write_table(table, stream, row_group_size=ROW_GROUP)
    skipped = [*selection.report.items, *(skip for record in records for skip in record.skipped)]
    # Several workers may note the same thing.
    notes = list(dict.fromkeys(note for record in records for note in record.notes))
    write_report(partial / REPORT, [*skipped, *notes])
    sources, splits, groups, videos = (
        dict(Counter(table[name].drop_null().to_pylist()))
        for name in ("source", "split", "group", "video")
    )
    manifest = {
        "schema": SCHEMA,
        **plan,
        "corpus_hash": hash_frames(parameters, table["sha256"].to_pylist()),
        "parameters": parameters,
        "counts": {
            "found": selection.found,
            "excluded": selection.excluded,
            "set_aside": dict(selection.report.set_aside),
            "chosen": len(selection.frames),
            "thinned": sum(record.thinned for record in records),
            "kept": len(table),
            "expected": source.expected,
            "sources": sources,
            "splits": splits,
            "groups": len(groups),
            "videos": len(videos),
        },
        "split": {"origin": source.split_note, "official": source.official_split},
        "skipped": summarise_skips(skipped),
        **intensity_entry(notes),
    }
    write_json(partial / MANIFEST, manifest)
