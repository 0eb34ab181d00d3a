"""Writing a pack: in chunks, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import functools
import importlib.metadata
import multiprocessing
import os
import platform
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.data.frame import Frame, Source, UnreadableFrame
from benchmark.data.pack.layout import (
    FRAMES,
    INDEX,
    MANIFEST,
    NUMBER_COLUMNS,
    SCHEMA,
    TEXT_COLUMNS,
    pack_frame,
)
from benchmark.data.pack.locking import only_one
from benchmark.data.pack.reading import FramePack, partial_folder
from benchmark.data.progress import progress_bar
from benchmark.data.selection import (
    Selection,
    reasons_line,
    refuse_recorded_skips,
    refuse_skips,
    select_frames,
    summarise_skips,
)
from benchmark.errors import InputError
from benchmark.files import atomic_write, fsync_folder, read_json, sha256_json, write_json

CHUNK = 256
"""Frames per chunk: what an interruption can cost, and what is held in memory (twice)."""

_PARTS = "parts"
_RESIZE = "longest side to size, PIL bicubic, top left, rest 0"

Packed = tuple[dict[str, Any], np.ndarray]


def build_pack(
    source: Source,
    out: str | os.PathLike[str],
    size: int = 512,
    splits: Sequence[str] | None = None,
    limit: int | None = None,
    workers: int = 0,
    progress: bool = True,
    strict: bool = False,
) -> FramePack:
    """Decode a source once into the pack `out`.

    The pack is put together in ``<out>.partial`` and renamed when it is whole. An interrupted call
    goes on with the next one; the result has the same bytes whatever the interruptions and the
    number of workers. A finished pack of the same frames and parameters is returned at once.

    Args:
        source: where the frames come from.
        out: folder of the pack.
        size: side of the squares in pixels, a multiple of 8.
        splits: splits of origin to keep; None keeps all.
        limit: at most this many frames, the first ones.
        workers: processes that decode; 0 decodes in this one.
        progress: show it on stderr.
        strict: a frame that has to be left out is an error.

    Raises:
        InputError: a bad argument; no usable frame; `out` is something else or a pack of other
            frames or parameters; an unfinished one is, or is being written by another process;
            not enough disk space; something was left out under `strict`.
    """
    out = Path(out)
    if size < 8 or size % 8:
        raise InputError(f"size {size}: must be a positive multiple of 8")
    if workers < 0:
        raise InputError(f"workers {workers}: must not be negative")
    selection = select_frames(source, splits, limit)
    if strict:
        refuse_skips(selection.walk.items)
    parameters = {
        "source": source.name,
        "options": source.options,
        "size": size,
        "resize": _RESIZE,
        "splits": sorted(splits) if splits is not None else None,
        "limit": limit,
    }
    plan = {"plan_hash": selection.plan_hash(parameters), "versions": _versions()}
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        return _finished(FramePack.open(out), plan, strict)
    partial = partial_folder(out)
    partial.mkdir(parents=True, exist_ok=True)
    with only_one(partial / "lock"):
        if not (partial / MANIFEST).exists():
            _write_chunks(source, selection, partial, plan, size, workers, progress, strict)
            _write_index(source, selection, partial, plan, parameters)
        _check_plan(partial, read_json(partial / MANIFEST), plan)
        if (partial / _PARTS).exists():
            shutil.rmtree(partial / _PARTS)
        (partial / "lock").unlink()
        os.replace(partial, out)
        fsync_folder(out.parent)
    return _finished(FramePack.open(out), plan, strict)


def _versions() -> dict[str, str]:
    """Versions that can change decoded or resized pixels."""
    packages = {name: importlib.metadata.version(name) for name in ("numpy", "pillow")}
    return {"python": platform.python_version(), **packages}


def _finished(pack: FramePack, plan: dict[str, Any], strict: bool) -> FramePack:
    if pack.manifest["plan_hash"] != plan["plan_hash"]:
        raise InputError(
            f"{pack.path}: already holds a pack of other frames or parameters; "
            "remove it or choose another folder"
        )
    if strict:
        refuse_recorded_skips(pack.path, pack.manifest["skipped"])
    return pack


def _check_plan(partial: Path, found: dict[str, Any], plan: dict[str, Any]) -> None:
    for key, what in (("plan_hash", "frames or parameters"), ("versions", "package versions")):
        if found.get(key) != plan[key]:
            raise InputError(f"{partial}: was begun with other {what}; remove it to start again")


def _write_chunks(
    source: Source,
    selection: Selection,
    partial: Path,
    plan: dict[str, Any],
    size: int,
    workers: int,
    progress: bool,
    strict: bool,
) -> None:
    plan_file = partial / _PARTS / "plan.json"
    if plan_file.exists():
        _check_plan(partial, read_json(plan_file), plan)
    else:
        write_json(plan_file, plan)
    frames = selection.frames
    chunks = [frames[start : start + CHUNK] for start in range(0, len(frames), CHUNK)]
    done, rows = _finished_chunks(partial, strict)
    _check_space(partial, (len(frames) - rows) * size * size)
    with open(partial / FRAMES, "ab") as stream:
        if stream.tell() < rows * size * size:
            raise InputError(f"{partial / FRAMES}: too short; remove {partial} to start again")
        stream.truncate(rows * size * size)
        rest = chunks[done:]
        todo = sum(map(len, rest))
        with (
            progress_bar(
                f"pack {source.name}", len(frames), len(frames) - todo, progress
            ) as advance,
            _decoder(source, size, workers) as decode,
        ):
            for number, (chunk, results) in enumerate(zip(rest, decode(rest)), start=done):
                part = {"rows": [], "skipped": []}
                for frame, result in zip(chunk, results):
                    if isinstance(result, str):
                        part["skipped"].append([result, frame.path])
                    else:
                        part["rows"].append(result[0])
                        stream.write(result[1])
                if strict:
                    refuse_skips(part["skipped"])
                # The part vouches for the pixels, so they have to be on the disk before it.
                stream.flush()
                os.fsync(stream.fileno())
                write_json(_part_file(partial, number), part)
                advance(len(chunk))


def _part_file(partial: Path, number: int) -> Path:
    return partial / _PARTS / f"{number:06d}.json"


def _finished_chunks(partial: Path, strict: bool) -> tuple[int, int]:
    """Chunks that need not be done again, and the frames kept in them.

    Under `strict` a chunk that left frames out is done again: they may have been mended.
    """
    number = rows = 0
    while (file := _part_file(partial, number)).exists():
        part = read_json(file)
        if strict and part["skipped"]:
            break
        rows += len(part["rows"])
        number += 1
    return number, rows


def _check_space(partial: Path, needed: int) -> None:
    free = shutil.disk_usage(partial).free
    if needed > free:
        raise InputError(
            f"{partial.parent}: the pack needs {needed / 1e9:.1f} GB more, {free / 1e9:.1f} GB are "
            "free; choose a smaller size or another folder"
        )


def _pack_or_reason(source: Source, size: int, frame: Frame) -> Packed | str:
    try:
        return pack_frame(source, frame, size)
    except UnreadableFrame as error:
        return str(error)


_work: Callable[[Frame], Packed | str]


def _start_worker(work: Callable[[Frame], Packed | str]) -> None:
    # An interruption is the parent's to handle; a traceback from every worker helps nobody.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    global _work
    _work = work


def _end_with_parent() -> None:
    # A pool whose owner is killed waits for work for ever; a scheduler may well kill the owner.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do_work(frame: Frame) -> Packed | str:
    return _work(frame)


@contextmanager
def _decoder(
    source: Source, size: int, workers: int
) -> Iterator[Callable[[Iterable[list[Frame]]], Iterator[Iterable[Packed | str]]]]:
    """A function that maps chunks of frames to chunks of results, in order."""
    work = functools.partial(_pack_or_reason, source, size)
    if workers == 0:
        yield lambda chunks: (map(work, chunk) for chunk in chunks)
        return
    # Forked, so that the source reaches the workers as it is, whatever it holds.
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(work,))

    def decode(chunks: Iterable[list[Frame]]) -> Iterator[Iterable[Packed | str]]:
        # One chunk is decoded ahead while the one before is written.
        ahead = None
        for chunk in chunks:
            submitted = pool.map(_do_work, chunk, chunksize=8)
            if ahead is not None:
                yield ahead
            ahead = submitted
        if ahead is not None:
            yield ahead

    try:
        yield decode
    finally:
        pool.shutdown(cancel_futures=True)


def _write_index(
    source: Source,
    selection: Selection,
    partial: Path,
    plan: dict[str, Any],
    parameters: dict[str, Any],
) -> None:
    schema = pa.schema(
        [(name, pa.string()) for name in TEXT_COLUMNS] + [(n, pa.int32()) for n in NUMBER_COLUMNS]
    )
    tables, skipped = [], list(selection.walk.items)
    for number in range(-(-len(selection.frames) // CHUNK)):
        part = read_json(_part_file(partial, number))
        tables.append(pa.Table.from_pylist(part["rows"], schema=schema))
        skipped += part["skipped"]
    table = pa.concat_tables(tables).combine_chunks()
    if not table.num_rows:
        shutil.rmtree(partial)
        raise InputError(f"{source.name}: no usable frame ({reasons_line(skipped)})")
    with atomic_write(partial / INDEX) as stream:
        pq.write_table(table, stream)
    pixels = table["sha256"].to_pylist()
    kept = {"size": parameters["size"], "resize": _RESIZE}
    manifest = {
        "schema": SCHEMA,
        **plan,
        "corpus_hash": sha256_json({"pixels": pixels, "parameters": kept}),
        "parameters": parameters,
        "counts": {
            "found": selection.found,
            "chosen": len(selection.frames),
            "kept": table.num_rows,
            "expected": source.expected,
            "sources": _tally(table, "source"),
            "splits": _tally(table, "split"),
            "groups": len(_tally(table, "group")),
            "videos": len(_tally(table, "video")),
        },
        "split": {"origin": source.split_note, "official": source.official_split},
        "skipped": summarise_skips(skipped),
    }
    write_json(partial / MANIFEST, manifest)


def _tally(table: pa.Table, column: str) -> dict[str, int]:
    counts = table[column].drop_null().value_counts().to_pylist()
    return {entry["values"]: entry["counts"] for entry in counts}
