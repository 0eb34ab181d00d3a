"""Writing a pack: in chunks, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.data.frame import Frame, Source
from benchmark.data.packs.indexing import write_index
from benchmark.data.packs.layout import FRAMES, INDEX, MANIFEST, REPORT
from benchmark.data.packs.parts import PARTS, Part, Parts, Thinner
from benchmark.data.packs.reading import FramePack
from benchmark.data.packs.survey import Survey, survey
from benchmark.data.packs.workers import decoder, file_runs
from benchmark.data.progress import progress_bar
from benchmark.data.selection import no_usable_frame, refuse_recorded_skips, refuse_skips
from benchmark.errors import InputError
from benchmark.files import fsync, fsync_folder, naming, remove_written
from benchmark.locking import (
    clear_partial,
    hold,
    lock_beside,
    make_partial,
    partial_folder,
    remove_left,
)
from benchmark.temporary_files import TEMPORARY

CHUNK = 256
"""Most frames of a chunk: what an interruption can cost."""

CHUNK_BYTES = 1 << 26
"""Most bytes of a chunk; where there are workers, four chunks are held in memory."""

_WRITTEN = (FRAMES, INDEX, MANIFEST, REPORT, *PARTS, TEMPORARY)

_RESIZE = "longest side to size, PIL bicubic, top left, rest 0"


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
    """Decode a source once into the pack `out`.

    The pack is put together in ``<out>.partial`` and renamed when it is whole. An interrupted call
    goes on with the next one; the result has the same bytes whatever the interruptions and the
    number of workers. A finished pack of the same frames and parameters is returned at once. Memory
    does not grow with the number of frames, but for the index of the pack that is returned.

    Args:
        source: where the frames come from. The paths in its report are moved to ``report.json``.
        out: folder of the pack.
        size: side of the squares in pixels, a multiple of 8.
        splits: splits of origin to keep; None keeps all.
        limit: at most this many frames, the first ones, before thinning.
        workers: processes that decode; 0 decodes in this one.
        progress: show it on stderr.
        strict: a frame that has to be left out is an error.
        thin: bits, 0–64. A frame of a video whose perceptual hash (`perceptual_hash`) differs in
            fewer bits from the last kept frame of that video is left out; 0 keeps all.
        exclude: groups whose frames are left out, such as the patients of a test set; groups that
            the source does not have may be among them.

    Raises:
        InputError: a bad argument; no usable frame; `out` is something else or a pack of other
            frames or parameters; an unfinished one is, is damaged, or is being written by another
            process; a worker was killed; something was left out under `strict`.
        OSError: the disk is full or write-protected.
    """
    if size < 8 or size % 8:
        raise InputError(f"size {size}: must be a positive multiple of 8")
    if workers < 0:
        raise InputError(f"workers {workers}: must not be negative")
    if not 0 <= thin <= 64:
        raise InputError(f"thin {thin}: must be from 0 to 64, the bits of a perceptual hash")
    chunk = max(1, min(CHUNK, CHUNK_BYTES // size**2))
    job = _Job(source, size, splits, limit, thin, exclude, workers, progress, strict, chunk)
    return _build(job, Path(out))


@dataclass(frozen=True)
class _Job:
    """The checked arguments of `build_pack`, and the number of frames in a chunk."""

    source: Source
    size: int
    splits: Sequence[str] | None
    limit: int | None
    thin: int
    exclude: Collection[str]
    workers: int
    progress: bool
    strict: bool
    chunk: int

    def parameters(self) -> dict[str, Any]:
        """What decides the content of the pack, beside the frames of the source."""
        parameters: dict[str, Any] = {
            "source": self.source.name,
            "options": self.source.options,
            "size": self.size,
            "resize": _RESIZE,
            "splits": sorted(self.splits) if self.splits is not None else None,
            "limit": self.limit,
        }
        # Named only where they are used: packs from before they existed are still recognised.
        if self.thin:
            parameters["thin"] = self.thin
        if self.exclude:
            parameters["exclude"] = sorted(set(self.exclude))
        return parameters


def _build(job: _Job, out: Path) -> FramePack:
    with survey(job.source, job.splits, job.limit, job.exclude) as found:
        if job.strict:
            found.skips.refuse()
        parameters = job.parameters()
        plan = {"plan_hash": found.plan_hash(parameters), "versions": _versions()}
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            remove_left(lock_beside(out))
            if not (out / MANIFEST).is_file():
                raise InputError(f"{out}: not a pack, and not empty; choose another folder")
            return _finished(FramePack.open(out), plan, job.strict)
        partial = partial_folder(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        with naming(out), hold(lock_beside(out), out, "being written"):
            if out.exists() and any(out.iterdir()):  # by the last holder of the lock
                return _finished(FramePack.open(out), plan, job.strict)
            make_partial(partial, _WRITTEN, clear=False)
            parts = Parts(partial)
            if not (partial / MANIFEST).exists():
                _check_plan(partial, parts.begin(plan), plan)
                _write_chunks(job, found, parts, partial)
                write_index(job.source, found, parts, partial, plan, parameters)
            _check_plan(partial, parts.read_object(partial / MANIFEST), plan)
            _publish(parts, partial, out)
    return _finished(FramePack.open(out), plan, job.strict)


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


def _publish(parts: Parts, partial: Path, out: Path) -> None:
    # Also what a kill in the middle of `atomic_write` leaves.
    remove_written(partial, (*PARTS, TEMPORARY))
    os.replace(partial, out)
    fsync_folder(out.parent)


def _write_chunks(job: _Job, found: Survey, parts: Parts, partial: Path) -> None:
    square = job.size**2
    done = parts.resume(job.strict)
    if not job.thin:  # What thinning will leave cannot be known.
        _check_space(partial, (found.chosen - done.frames) * square)
    thinner = Thinner(job.thin, done.last)
    rows = done.rows
    label = f"pack {job.source.name}"
    with open(partial / FRAMES, "ab") as stream:
        if stream.tell() < rows * square:
            raise InputError(f"{partial / FRAMES}: too short; remove {partial} to start again")
        stream.truncate(rows * square)
        with (
            progress_bar(label, found.chosen, done.frames, job.progress) as advance,
            decoder(job.source, job.size, job.workers, found.frames(done.frames)) as decode,
        ):
            chunks = _chunks(found.frames(done.frames), job.chunk)
            for number, (chunk, results) in enumerate(decode(chunks), start=done.parts):
                part = Part()
                for frame, (result, notes) in zip(chunk, results):
                    part.notes += notes
                    if isinstance(result, str):
                        part.skipped.append((result, frame.path))
                    elif thinner.keeps(result[0]):
                        part.rows.append(result[0])
                        stream.write(result[1])
                    else:
                        part.thinned += 1
                if job.strict:
                    refuse_skips(part.skipped)
                part.last = thinner.last
                # The part vouches for the pixels, so they have to be on the disk before it.
                stream.flush()
                fsync(stream.fileno(), partial / FRAMES)
                parts.write(number, part)
                rows += len(part.rows)
                advance(len(chunk))
    if not rows:
        for part in parts:
            found.skips.extend(part.skipped)
        clear_partial(partial, _WRITTEN)
        raise no_usable_frame(job.source.name, found.skips.counts)


def _chunks(frames: Iterator[Frame], most: int) -> Iterator[list[Frame]]:
    """At most `most` frames at a time; a file is divided only if it holds more than that."""
    chunk: list[Frame] = []
    for run in file_runs(frames, most):
        if chunk and len(chunk) + len(run) > most:
            yield chunk
            chunk = []
        chunk += run
    if chunk:
        yield chunk


def _check_space(partial: Path, needed: int) -> None:
    free = shutil.disk_usage(partial).free
    if needed > free:
        raise InputError(
            f"{partial.parent}: the pack needs {needed / 1e9:.1f} GB more, {free / 1e9:.1f} GB are "
            "free; choose a smaller size or another folder"
        )
