"""The features of the frames of a task, extracted once per encoder and kept as files.

::

    <work>/<method>/features/<dataset>/train.features.npy   float32 N×h×w×D
                                       train.truth.npy      int32 N×S×S, bit c for class c
                                       train.json           their description, written last
                                       train-mirrored.…     of the mirror images

They are read as memory maps. Features of another encoder, split or size are replaced, and so are
damaged ones: the description has a checksum of each array.
"""

from __future__ import annotations

import errno
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from mmengine.config import Config

from benchmark.data.packs.reading import map_file
from benchmark.data.tasks import TaskFolder
from benchmark.data.tasks.folder import labelled
from benchmark.downstream.frozen.encoded import EncodedFrames
from benchmark.encoders.card import EncoderCard, read_encoder_card
from benchmark.errors import InputError
from benchmark.files import atomic_write, read_object, write_json
from benchmark.files.locking import acquire, remove_unlocked
from benchmark.training.config import to_plain

_VERSION = 2  # of the layout, and of the meaning of the numbers
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True, eq=False)
class FrameFeatures:
    """The frames of a split as their encoder sees them.

    Attributes:
        features: float32 N×h×w×D, the coarsest map, see `EncodedFrames`.
        truth: int32 N×S×S, the masks at the size of the network, bit c for class c.
        parameters: parameter count of the encoder.
    """

    features: np.ndarray
    truth: np.ndarray
    parameters: int


class FeatureCache:
    """The features of a task by one encoder, extracted on first use.

    Processes that need the same features at the same time wait for the first one.

    Args:
        config: from `benchmark.downstream.frozen.compose`.
        folder: the prepared task.
        place: folder of the files.

    Attributes:
        card: card of the encoder.
        folder: the prepared task.
    """

    def __init__(self, config: Config, folder: TaskFolder, place: Path) -> None:
        self.card: EncoderCard = read_encoder_card(config.model.backbone.folder)
        self.folder = folder
        self._config = config
        self._place = place
        self._loaded: dict[tuple[str, bool], FrameFeatures] = {}

    def load(self, split: str, mirrored: bool = False) -> FrameFeatures:
        """The features of a split, or those of the mirror images of its frames.

        Raises:
            InputError: the encoder is missing, damaged or does not fit; there is no such split, or
                it has no frames; or features are not finite.
        """
        if (split, mirrored) not in self._loaded:
            name = f"{split}-mirrored" if mirrored else split
            try:
                found = self._read_or_extract(name, split, mirrored)
            except OSError as error:
                # Where nothing may be written, finished features can still be read.
                if error.errno not in _READ_ONLY:
                    raise
                found = self._read(name, self._identity(split, mirrored))
                if found is None:
                    raise
            if found is None:
                raise InputError(f"{self._place}: cannot be read back; check the file system")
            self._loaded[split, mirrored] = found
        return self._loaded[split, mirrored]

    def _read_or_extract(self, name: str, split: str, mirrored: bool) -> FrameFeatures | None:
        lock = self._place / f".{name}.lock"
        try:
            with acquire(lock, _on_wait(self._place)):
                found = self._read(name, self._identity(split, mirrored))
                if found is None:
                    self._extract(name, split, mirrored)
                    found = self._read(name, self._identity(split, mirrored))
                return found
        finally:
            remove_unlocked(lock)

    def _identity(self, split: str, mirrored: bool) -> dict[str, Any]:
        """Everything that the files of a split depend on."""
        content = to_plain(self._config)
        return {
            "version": _VERSION,
            "weights_sha256": self.card.weights_sha256,
            "normalisation": [list(self.card.mean), list(self.card.std)],
            "preprocessor": content["model"]["data_preprocessor"],
            "pipeline": content["test_pipeline"],
            "split_hash": self.folder.split_hash,
            "split": split,
            "mirrored": mirrored,
        }

    def _paths(self, name: str) -> tuple[Path, Path, Path]:
        kinds = ("features.npy", "truth.npy", "json")
        return tuple(self._place / f"{name}.{kind}" for kind in kinds)

    def _read(self, name: str, identity: dict[str, Any]) -> FrameFeatures | None:
        """The features with this identity; None if they are missing, damaged or have another."""
        *arrays, description = self._paths(name)
        if not description.is_file():
            return None
        try:
            known = read_object(description)
            if known.get("identity") != identity:
                return None
            found = [_map_npy(path) for path in arrays]
            shapes, parameters = known["shapes"], int(known["parameters"])
            intact = [_checksum(path) for path in arrays] == known["checksums"]
        except (InputError, OSError, KeyError, TypeError, ValueError, EOFError) as error:
            print(f"{description}: extracted again ({error})", flush=True)
            return None
        there = [list(array.shape) for array in found]
        kinds = [str(array.dtype) for array in found]
        if not intact or there != shapes or kinds != ["float32", "int32"]:
            print(f"{description}: extracted again (other arrays than were written)", flush=True)
            return None
        return FrameFeatures(*found, parameters)

    def _extract(self, name: str, split: str, mirrored: bool) -> None:
        begun = time.time()
        encoded = EncodedFrames(self._config, self.folder, split)
        count = len(encoded.items)
        if not count:
            raise InputError(f"{self.folder.path}: no frames in split {split!r}")
        shapes = [
            [count, encoded.side, encoded.side, encoded.width],
            [count, encoded.size, encoded.size],
        ]
        features, truth, description = self._paths(name)
        # An interruption leaves no description of other arrays.
        description.unlink(missing_ok=True)
        with (
            _npy(features, "<f4", shapes[0]) as tokens_file,
            _npy(truth, "<i4", shapes[1]) as truth_file,
        ):
            for _, maps, masks in encoded.batches(mirrored):
                tokens = maps.permute(0, 2, 3, 1).cpu().numpy()
                if not np.isfinite(tokens).all():
                    origin = self._config.model.backbone.folder
                    raise InputError(f"{origin}: features of {self.folder.path} are not finite")
                tokens_file.append(tokens)
                truth_file.append(masks)
        content = {
            "identity": self._identity(split, mirrored),
            "shapes": shapes,
            "checksums": [tokens_file.checksum, truth_file.checksum],
            "parameters": encoded.parameters,
        }
        write_json(description, content)
        seconds = time.time() - begun
        print(f"{features}: features of {count} frames in {seconds:.1f} s", flush=True)


def labelled_frames(config: Config, folder: TaskFolder, seed: int) -> np.ndarray:
    """Positions in the training split of the frames whose labels are used, int64, ascending.

    Args:
        config: from `benchmark.downstream.frozen.compose`.
        folder: the prepared task.
        seed: seed of the draw, where the config has a number of images.

    Raises:
        InputError: as `benchmark.data.tasks.folder.labelled`.
    """
    chosen = labelled(folder, "train", config.label_fraction, config.get("label_count"), seed)
    place = {item["stem"]: index for index, item in enumerate(folder.splits["train"])}
    return np.array([place[item["stem"]] for item in chosen])


class _ArrayFile:
    """An array file that is written part by part along its first axis, with its CRC-32 so far."""

    def __init__(self, stream: IO[bytes], dtype: str, shape: list[int]) -> None:
        self.checksum = 0
        self._stream, self._dtype = stream, dtype
        header = {"descr": dtype, "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(self, header)

    def append(self, part: np.ndarray) -> None:
        self.write(np.ascontiguousarray(part, self._dtype).data)

    def write(self, data: bytes | memoryview) -> None:
        self.checksum = zlib.crc32(data, self.checksum)
        self._stream.write(data)


@contextmanager
def _npy(path: Path, dtype: str, shape: list[int]) -> Iterator[_ArrayFile]:
    """Write an array part by part, atomically."""
    with atomic_write(path) as stream:
        yield _ArrayFile(stream, dtype, shape)


def _checksum(path: Path) -> int:
    """The CRC-32 of a file: finds damage, at the speed of reading it."""
    checksum = 0
    with open(path, "rb") as stream:
        while part := stream.read(1 << 24):
            checksum = zlib.crc32(part, checksum)
    return checksum


def _map_npy(path: Path) -> np.ndarray:
    """An array that `_npy` has written, memory-mapped where the file system supports it."""
    with open(path, "rb") as stream:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        return map_file(path, shape, dtype, stream.tell())


def _on_wait(place: Path) -> Callable[[str], None]:
    """A callback that prints, once, which process is waited for."""
    told: list[str] = []

    def say(holder: str) -> None:
        if not told:
            told.append(holder)
            print(f"{place}: waiting for the features that {holder} extracts", flush=True)

    return say
