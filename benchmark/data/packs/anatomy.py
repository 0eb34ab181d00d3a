"""Adding vessel masks to a finished pack."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.data.packs.layout import ANATOMY, MANIFEST
from benchmark.data.packs.reading import FramePack
from benchmark.data.progress import progress_bar
from benchmark.errors import InputError
from benchmark.files import fsync, fsync_folder, naming, sha256_file, sha256_json, write_json
from benchmark.files.locking import hold, remove_left
from benchmark.schemas import Count, Schema, read_validated

CHUNK = 1024
"""Frames between two progress records: the most that a killed process loses."""

_PARTIAL = f"{ANATOMY}.partial"
_PROGRESS = f"{ANATOMY}.progress.json"

Compute = Callable[[np.ndarray, np.ndarray], np.ndarray]


class _Progress(Schema):
    """Number of masks on the disk, and the hash of their parameters."""

    remedy = f"remove it and {_PARTIAL}, then run the same command again"

    parameters: str
    done: Count


def add_anatomy(
    pack_path: str | os.PathLike[str],
    compute: Compute,
    parameters: dict[str, Any],
    batch: int = 16,
    progress: bool = True,
    overwrite: bool = False,
) -> FramePack:
    """Compute a vessel mask for every frame of a pack and store them as ``anatomy.u1``.

    An interrupted call is resumed by the next one. Masks of other parameters stay in place until
    the new ones are complete. Finished masks of the same parameters are returned at once.

    Args:
        compute: ``compute(frames, valid)`` takes frames, uint8 B×S×S, and valid (height, width),
            int64 B×2, and returns bool B×S×S, True on vessels. Padding is set to False afterwards.
        parameters: JSON-able values that identify what `compute` does.
        batch: frames per call of `compute`.
        overwrite: replace finished or unfinished masks of other parameters.

    Raises:
        InputError: not a pack, a batch below 1, another process is adding masks, or there are masks
            of other parameters and `overwrite` is False.
    """
    pack = FramePack.open(pack_path)
    if batch < 1:
        raise InputError(f"batch {batch}: must be at least 1")
    wanted = sha256_json(parameters)
    existing = pack.manifest.get("anatomy")
    lock = pack.path / f"{ANATOMY}.lock"
    if existing is not None and sha256_json(existing["parameters"]) == wanted:
        remove_left(lock, pack.path / _PROGRESS)
        return pack
    with naming(pack.path), hold(lock, pack.path, "being given vessel masks"):
        file = pack.path / _PROGRESS
        earlier = read_validated(file, _Progress) if file.exists() else None
        other = earlier is not None and earlier.parameters != wanted
        if (existing is not None or other) and not overwrite:
            raise InputError(
                f"{pack.path}: holds vessel masks of other parameters; overwrite them with "
                "--overwrite, or use the same parameters"
            )
        done = _resume(pack, 0 if earlier is None or other else earlier.done)
        if done < len(pack):
            with progress_bar("vessel masks", len(pack), done, progress) as advance:
                _write_masks(pack, compute, wanted, batch, done, advance)
        _publish(pack, parameters)
    return FramePack.open(pack.path)


def _resume(pack: FramePack, done: int) -> int:
    """Truncate the unfinished file to the `done` masks; returns how many are on the disk."""
    file = pack.path / _PARTIAL
    renamed = not file.exists() and (pack.path / ANATOMY).exists()
    if done == len(pack) and renamed and "anatomy" not in pack.manifest:
        return done  # only the manifest entry is missing
    row = pack.size * pack.size // 8
    if not file.exists() or file.stat().st_size < done * row:
        done = 0  # the progress record outlived its file
    with open(file, "ab") as stream:
        stream.truncate(done * row)
    return done


def _write_masks(
    pack: FramePack,
    compute: Compute,
    wanted: str,
    batch: int,
    done: int,
    advance: Callable[[int], None],
) -> None:
    rows = np.arange(pack.size)
    with open(pack.path / _PARTIAL, "ab") as stream:

        def record() -> None:
            stream.flush()
            fsync(stream.fileno(), pack.path / _PARTIAL)
            write_json(pack.path / _PROGRESS, {"parameters": wanted, "done": done})

        record()
        recorded = done
        try:
            while done < len(pack):
                frames, _, valid = pack.gather(np.arange(done, min(done + batch, len(pack))))
                masks = compute(frames, valid)
                if masks.dtype != np.bool_ or masks.shape != frames.shape:
                    raise ValueError(f"masks {masks.dtype} {masks.shape}, not bool {frames.shape}")
                inside = rows < valid[:, :, None]
                masks = masks & inside[:, 0, :, None] & inside[:, 1, None, :]
                stream.write(np.packbits(masks, axis=-1))
                done += len(frames)
                if done - recorded >= CHUNK:
                    record()
                    recorded = done
                advance(len(frames))
        finally:
            record()


def _publish(pack: FramePack, parameters: dict[str, Any]) -> None:
    """Rename the masks and enter them in the manifest, which never describes other masks."""
    manifest_file = pack.path / MANIFEST
    manifest = dict(pack.manifest)
    partial, target = pack.path / _PARTIAL, pack.path / ANATOMY
    if partial.exists():
        if manifest.pop("anatomy", None) is not None:
            write_json(manifest_file, manifest)
        os.replace(partial, target)
        fsync_folder(pack.path)
    manifest["anatomy"] = {"parameters": parameters, "sha256": sha256_file(target)}
    write_json(manifest_file, manifest)
    (pack.path / _PROGRESS).unlink(missing_ok=True)
