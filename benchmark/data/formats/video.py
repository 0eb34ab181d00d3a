"""Files that hold several frames: arrays in npz and npy files, and a cache of the last one read.

Nothing is ever unpickled, and no memory is claimed on the word of a header alone.
"""

from __future__ import annotations

import functools
import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.lib import format as npy

from benchmark.data.formats.bit_depth import (
    NARROW,
    WHITE_DECIDED,
    depth_note,
    is_narrow,
    scale_to_8_bits,
    white_level,
)
from benchmark.data.formats.images import file_errors
from benchmark.data.frame import UnreadableFrame

MAX_BYTES = 512 << 20
"""Files, and videos once unpacked, beyond this are refused; 60 frames of 512×512 have 15 MiB."""

MAX_FRAMES = 10_000
"""More frames in one file are refused; a run has about a hundred."""

MEMBER = "pixel_array.npy"
"""Where an npz keeps its frames; one that holds a single array may name it otherwise."""

_PIECE = 1 << 22
_HEADER_BYTES = 1024
# What numpy, zipfile and the parser of the header's Python literal raise on damaged content.
_DAMAGE = (
    ValueError,
    TypeError,
    EOFError,
    SyntaxError,
    OverflowError,
    RecursionError,
    NotImplementedError,
    tokenize.TokenError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


def check_array_size(frames: int, frame_bytes: int) -> None:
    """Refuse what a header claims before anything is done with it.

    Raises:
        UnreadableFrame: no pixels, too many frames, or too many bytes.
    """
    if frames < 1 or frame_bytes < 1:
        raise UnreadableFrame("video without frames")
    if frames > MAX_FRAMES:
        raise UnreadableFrame("too many frames in one file")
    if frames * frame_bytes > MAX_BYTES:
        raise UnreadableFrame("video too large")


class Video(NamedTuple):
    """A decoded file.

    Attributes:
        frames: grey, uint8, F×H×W.
        notes: how intensities were decided, as (reason, detail).
    """

    frames: np.ndarray
    notes: tuple[tuple[str, str], ...] = ()


def read_frame(path: Path, position: int, decode: Callable[[Path], Video]) -> Video:
    """One frame of a file that holds several.

    The last file stays decoded, because the frames of a file are asked for in a row.

    Args:
        path: the file.
        position: of the frame, from 0.
        decode: all frames of a file; raises `UnreadableFrame`.

    Returns:
        Grey pixels, uint8, H×W, and the notes on the file.

    Raises:
        UnreadableFrame: the file cannot be used, or has no such frame.
        OSError: the disk or the system failed.
    """
    with file_errors(path, "damaged video", ()):
        status = path.stat()
    video = _decoded(decode, path, status.st_size, status.st_mtime_ns)
    if isinstance(video, str):
        raise UnreadableFrame(video)
    if position >= len(video.frames):
        raise UnreadableFrame("file has no frame of this number")
    return Video(video.frames[position].copy(), video.notes)


@functools.lru_cache(maxsize=1)
def _decoded(decode: Callable[[Path], Video], path: Path, size: int, changed: int) -> Video | str:
    """The frames, or the reason why there are none: damage is not to be decoded once a frame."""
    try:
        return decode(path)
    except UnreadableFrame as error:
        return str(error)


@dataclass(frozen=True, slots=True)
class _Array:
    """An array in a file: its header, checked, and what was read beyond it."""

    shape: tuple[int, int, int]
    dtype: np.dtype
    order: str
    begun: bytes

    @property
    def size(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def count_frames(path: Path) -> int:
    """Number of frames in an npz or npy file, from its header alone.

    The array is called ``pixel_array`` or is the only one; F×H×W, or H×W for a single frame.

    Raises:
        UnreadableFrame: the file cannot be used; see `decode_array`.
        OSError: the disk or the system failed.
    """
    with _open_array(path) as (array, _):
        return array.shape[0]


def decode_array(path: Path) -> Video:
    """All frames of an npz or npy file.

    uint8 is taken as it is. Other whole numbers and floating-point values are rounded; below 0
    they become 0; where the largest value of the whole video is above 255 it decides what is white
    (`depth.white_level`), for all frames alike. Floating-point videos between 0 and 1 are taken as
    shares of white.

    Raises:
        UnreadableFrame: the file is missing, empty, damaged or too large; there is no array, it
            holds objects or is of another type or shape; a value is not finite or above 16 bits.
        OSError: the disk or the system failed.
    """
    with _open_array(path) as (array, stream):
        # Filled in place: pieces that are joined afterwards take the memory twice.
        content = np.empty(array.size, np.uint8)
        filled = len(array.begun)
        content[:filled] = np.frombuffer(array.begun, np.uint8)
        while piece := stream.read(min(_PIECE, array.size - filled)):
            content[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
        if filled != array.size:
            raise UnreadableFrame("damaged array file")
    values = content.view(array.dtype).reshape(array.shape, order=array.order)
    return _video_to_grey(values)


def _video_to_grey(values: np.ndarray) -> Video:
    if values.dtype == np.uint8:
        return Video(np.ascontiguousarray(values))
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UnreadableFrame("values not finite")
    factor = 255 if values.dtype.kind == "f" and low >= 0 and high <= 1 else 1
    white = white_level(0, max(0, round(factor * high)))
    video = np.empty(values.shape, np.uint8)
    for frame, grey in zip(values, video):
        grey[:] = scale_to_8_bits(np.rint(np.maximum(frame, 0) * np.float64(factor)), white)
    if white == 255:
        return Video(video)
    notes = [(WHITE_DECIDED, depth_note(white))] + [(NARROW, "")] * is_narrow(video)
    return Video(video, tuple(notes))


@contextmanager
def _open_array(path: Path) -> Iterator[tuple[_Array, IO[bytes]]]:
    with file_errors(path, "damaged array file", _DAMAGE):
        size = path.stat().st_size
        if size == 0:
            raise UnreadableFrame("empty file")
        if size > MAX_BYTES:
            raise UnreadableFrame("video too large")
        with open(path, "rb") as file:
            if path.suffix.lower() != ".npz":
                yield _read_header(file, size), file
                return
            if not zipfile.is_zipfile(file):
                raise UnreadableFrame("not an npz file")
            with zipfile.ZipFile(file) as archive:
                member = _find_member(archive)
                with archive.open(member) as stream:
                    yield _read_header(stream, member.file_size), stream


def _find_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    named = [member for member in members if member.filename == MEMBER]
    if not named and len(members) == 1:
        named = members
    if not named:
        raise UnreadableFrame("npz without pixel_array")
    member = named[-1]
    # numpy writes these two; others can ask for any amount of memory, or for a password.
    plain = member.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    if not plain or member.flag_bits & 1:
        raise UnreadableFrame("npz compressed or encrypted in an unknown way")
    return member


def _read_header(stream: IO[bytes], size: int) -> _Array:
    """Header of an array that takes `size` bytes with it, from a stream that stands before it."""
    # Read by itself first: the header states its own length, up to 4 GiB.
    beginning = io.BytesIO(stream.read(_HEADER_BYTES))
    version = npy.read_magic(beginning)
    if version not in {(1, 0), (2, 0)}:
        raise UnreadableFrame("unsupported array type")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(beginning, max_header_size=_HEADER_BYTES)
    if dtype.hasobject:
        raise UnreadableFrame("array of objects")
    if dtype.kind not in "uif":
        raise UnreadableFrame("unsupported array type")
    shape = (1, *map(int, shape)) if len(shape) == 2 else tuple(map(int, shape))
    if len(shape) != 3 or shape[2] in (3, 4):
        raise UnreadableFrame("array is not frames×height×width")
    height, width = shape[1:]
    check_array_size(shape[0], height * width * dtype.itemsize if min(height, width) > 0 else 0)
    array = _Array(shape, dtype, "F" if fortran else "C", beginning.read())
    if beginning.tell() - len(array.begun) + array.size != size:
        raise UnreadableFrame("array does not fill its file")
    return array
