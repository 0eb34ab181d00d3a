"""Reading one pack, several as one, or a subset."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.data.packs.layout import (
    ANATOMY,
    FRAMES,
    INDEX,
    MANIFEST,
    NUMBER_COLUMNS,
    TEXT_COLUMNS,
    PackManifest,
)
from benchmark.data.prepared import require_pack
from benchmark.data.splits import nested_subset
from benchmark.errors import InputError
from benchmark.files import UNSUPPORTED, note_once, read_json, sha256_json
from benchmark.schemas import validate

if TYPE_CHECKING:  # imported where used: takes half a second, needless for a config
    import pandas as pd

Indices = Sequence[int] | np.ndarray
Batch = tuple[np.ndarray, np.ndarray | None, np.ndarray]


class Samples:
    """Frames read by sample index, from one pack, several packs or a subset."""

    without_anatomy: Path | None

    @property
    def key_count(self) -> int:
        """Number of frames from which `keys` takes its keys."""
        return len(self)

    def keys(self, indices: Indices) -> np.ndarray:
        """Keys of the random numbers of the samples at `indices`, int64 in 0…`key_count`-1.

        A frame has the same key in a subset as in its packs, and thus the same crops and masks.
        """
        return check_indices(indices, len(self))

    @property
    def has_anatomy(self) -> bool:
        """Whether every sample has a vessel mask."""
        return self.without_anatomy is None

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} does not define __len__()")

    def gather(self, indices: Indices, anatomy: bool = True) -> Batch:
        """Copies of the frames at `indices` (B in 0…N-1, in any order, repeats allowed).

        Returns:
            Frames (uint8, B×S×S), packed vessel masks (uint8, B×S×S/8; None without `anatomy`, or
            where not every sample has one) and valid height and width (int64, B×2).
        """
        raise NotImplementedError


def unpack_bits(bits: np.ndarray) -> np.ndarray:
    """Bit-packed masks, uint8 …×K with the first pixel in the highest bit, to bool …×8K."""
    return np.unpackbits(bits, axis=-1).view(np.bool_)


def map_file(
    file: Path, shape: tuple[int, ...], dtype: np.dtype | type = np.uint8, offset: int = 0
) -> np.ndarray:
    """The content of a file as a read-only array, memory-mapped where the file system allows it.

    Args:
        file: its path.
        shape, dtype: shape and type of the array.
        offset: bytes before it.
    """
    for mode in ("r", "c"):  # FUSE often supports private mappings only
        try:
            mapped = np.memmap(file, dtype, mode, offset, shape)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        else:
            mapped.flags.writeable = False
            return mapped
    note_once("mmap", f"{file}: no memory mapping on this file system; the complete file is read")
    content = np.fromfile(file, dtype, offset=offset).reshape(shape)
    content.flags.writeable = False
    return content


class FramePack(Samples):
    """One pack, opened for reading. It is pickled by path and reopened when unpickled.

    Attributes:
        path: its folder.
        size: side S of the squares in pixels.
        frames: read-only memory map, uint8, N×S×S; 0 outside the valid area.
        anatomy: read-only memory map, uint8, N×S×(S/8), bit-packed vessel masks; None if absent.
        index: N rows: source, path, group, video, frame (Int64), split, sha256 and phash of the
            native pixels, native height/width, valid_height/valid_width inside the square. NA where
            the source does not know it.
        manifest: content of manifest.json.
        corpus_hash: identity of the pixels, in order, and of their resizing.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], index: pd.DataFrame) -> None:
        self.path = path
        self.manifest = manifest
        self.index = index
        self.size: int = manifest["parameters"]["size"]
        self.corpus_hash: str = manifest["corpus_hash"]
        self.valid = index[["valid_height", "valid_width"]].to_numpy(np.int64)
        self.frames = self._map(FRAMES, self.size)
        # A file that is not in the manifest is incomplete.
        self.anatomy = self._map(ANATOMY, self.size // 8) if "anatomy" in manifest else None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> FramePack:
        """Open the pack in folder `path`; `InputError` if it is missing, unfinished or damaged."""
        path = Path(path)
        require_pack(path)
        for name in (INDEX, FRAMES):
            if not (path / name).is_file():
                raise InputError(f"{path}: not a pack ({name} is missing)")
        manifest = read_json(path / MANIFEST)
        validate(PackManifest, manifest, path / MANIFEST)
        import pandas as pd

        try:
            index = pd.read_parquet(path / INDEX)
        except (OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"{path / INDEX}: cannot be read ({reason})") from None
        for name in (*TEXT_COLUMNS, *NUMBER_COLUMNS):
            if name not in index:
                raise InputError(f"{path / INDEX}: no column {name!r}; {PackManifest.remedy}")
        if index.empty:
            raise InputError(f"{path}: empty pack; make it again with tools/prepare_data.py")
        index["frame"] = index["frame"].astype("Int64")
        return cls(path, manifest, index)

    def _map(self, name: str, row_bytes: int) -> np.ndarray:
        shape = (len(self.index), self.size, row_bytes)
        file = self.path / name
        found = file.stat().st_size if file.is_file() else 0
        expected = shape[0] * shape[1] * shape[2]
        if found != expected:
            raise InputError(
                f"{file}: {found} bytes, but {shape[0]} frames in the index need {expected}; "
                "the file is incomplete; copy or make it again"
            )
        return map_file(file, shape)

    def __len__(self) -> int:
        return len(self.index)

    def __reduce__(self) -> tuple[Any, ...]:
        return FramePack.open, (self.path,)

    @property
    def without_anatomy(self) -> Path | None:
        return self.path if self.anatomy is None else None

    def gather(self, indices: Indices, anatomy: bool = True) -> Batch:
        indices = check_indices(indices, len(self))
        frames = np.take(self.frames, indices, axis=0).view(np.ndarray)
        bits = None
        if anatomy and self.anatomy is not None:
            bits = np.take(self.anatomy, indices, axis=0).view(np.ndarray)
        return frames, bits, self.valid[indices]


def check_indices(indices: Indices, length: int) -> np.ndarray:
    """`indices` as int64; unlike in numpy, a negative one is an error."""
    indices = np.asarray(indices, dtype=np.int64)
    if indices.size and (indices.min() < 0 or indices.max() >= length):
        raise IndexError(f"sample index outside 0…{length - 1}")
    return indices


class PackCollection(Samples):
    """Several packs read as one; the samples of the first pack come first.

    Attributes:
        packs: the packs, in order.
        size: side of the squares, the same in all.
        index: all index rows, numbered consecutively.
        corpus_hash: that of a single pack; for several, a hash over theirs in order.
        without_anatomy: folder of the first pack that has no vessel masks; None if all have.
    """

    def __init__(self, packs: Sequence[FramePack]) -> None:
        import pandas as pd

        if not packs:
            raise InputError("no pack given")
        sizes = {pack.size for pack in packs}
        if len(sizes) > 1:
            each = ", ".join(f"{pack.path}: {pack.size}" for pack in packs)
            raise InputError(f"packs of different size cannot be joined ({each})")
        self.packs = list(packs)
        self.size = packs[0].size
        self.index = pd.concat([pack.index for pack in packs], ignore_index=True)
        hashes = [pack.corpus_hash for pack in packs]
        self.corpus_hash = hashes[0] if len(hashes) == 1 else sha256_json(hashes)
        lacking = (pack.path for pack in packs if not pack.has_anatomy)
        self.without_anatomy = next(lacking, None)
        self._starts = np.cumsum([0] + [len(pack) for pack in packs])

    def __len__(self) -> int:
        return len(self.index)

    def gather(self, indices: Indices, anatomy: bool = True) -> Batch:
        indices = check_indices(indices, len(self))
        if len(self.packs) == 1:
            return self.packs[0].gather(indices, anatomy)
        frames = np.empty((len(indices), self.size, self.size), dtype=np.uint8)
        with_bits = anatomy and self.has_anatomy
        bits = np.empty((*frames.shape[:2], self.size // 8), np.uint8) if with_bits else None
        valid = np.empty((len(indices), 2), dtype=np.int64)
        owner = np.searchsorted(self._starts, indices, side="right") - 1
        for number in np.unique(owner):
            pack, rows = self.packs[number], np.flatnonzero(owner == number)
            local = indices[rows] - self._starts[number]
            frames[rows] = pack.frames[local]
            valid[rows] = pack.valid[local]
            if bits is not None:
                bits[rows] = pack.anatomy[local]
        return frames, bits, valid


class PackSubset(Samples):
    """All frames of randomly sampled patients, as many as are needed for `frames` frames.

    Subsets are nested: the patients of a smaller one are in every larger one. A frame of unknown
    patient counts as a patient of its own. The last patient may exceed `frames`.

    Args:
        packs: the complete ones.
        frames: how many; None: all.
        held_out: share of these frames that is held out, again complete patients.

    Attributes:
        index, size, without_anatomy: as in `PackCollection`, for the frames of the subset.
        corpus_hash: hash over the packs and the selected samples.
        held_out: samples of the packs that are held out, int64, sorted; None if none are.
    """

    def __init__(
        self, packs: PackCollection, frames: int | None = None, held_out: float | None = None
    ) -> None:
        if frames is not None and not 1 <= frames <= len(packs):
            raise InputError(f"frames={frames}: the packs hold 1 to {len(packs)}")
        index = packs.index
        alone = index["source"] + "/" + index["path"]
        groups = index["group"].where(index["group"].notna(), alone)
        chosen = set(groups)
        if frames is not None:
            chosen = nested_subset(Counter(groups), frames / len(packs), seed=0)
        self.held_out: np.ndarray | None = None
        if held_out is not None:
            counts = Counter(group for group in groups if group in chosen)
            apart = nested_subset(counts, held_out, seed=1)
            if apart == chosen:
                raise InputError(
                    f"held_out={held_out}: leaves none of {len(chosen)} patients to train on"
                )
            self.held_out = np.flatnonzero(groups.isin(apart))
            chosen -= apart
        self.rows = np.flatnonzero(groups.isin(chosen))
        self.packs = packs
        self.size = packs.size
        self.index = index.iloc[self.rows].reset_index(drop=True)
        self.without_anatomy = packs.without_anatomy
        self.corpus_hash = sha256_json([packs.corpus_hash, self.rows.tolist()])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def key_count(self) -> int:
        return len(self.packs)

    def keys(self, indices: Indices) -> np.ndarray:
        return self.rows[check_indices(indices, len(self))]

    def gather(self, indices: Indices, anatomy: bool = True) -> Batch:
        return self.packs.gather(self.keys(indices), anatomy)


def training_frames(
    packs: PackCollection, frames: int | None, held_out: float | None
) -> PackCollection | PackSubset:
    """The part of the packs to train on, by the config keys `frames` and `held_out`."""
    if frames is None and held_out is None:
        return packs
    return PackSubset(packs, frames, held_out)


def open_packs(paths: Sequence[str | os.PathLike[str]]) -> PackCollection:
    """Open one or more packs of the same size as one."""
    return PackCollection([FramePack.open(path) for path in paths])
