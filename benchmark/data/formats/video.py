"""Multi-frame files: arrays in npz and npy files, avi and mp4 videos, a cache of the last file.

Nothing is unpickled, and headers are checked before memory is allocated.
"""

from __future__ import annotations

import functools
import io
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib import format as npy

from benchmark.data.formats.bit_depth import (
    NARROW_RANGE,
    WHITE_FROM_MAXIMUM,
    has_narrow_range,
    scale_to_8_bits,
    white_level,
    white_note,
)
from benchmark.data.formats.images import (
    MAX_PIXELS,
    check_file_size,
    file_errors,
    rgb_to_grayscale,
)
from benchmark.data.frame import UnreadableFrame

if TYPE_CHECKING:
    import cv2

MAX_VIDEO_BYTES = 512 << 20
"""Larger files, and larger decompressed videos, are refused; 60 frames of 512×512 take 15 MiB."""

MAX_FRAMES = 10_000
"""More frames in one file are refused; a video has about a hundred."""

_FFMPEG = {
    # A damaged frame is dropped, not guessed; a header cannot ask for more memory than an image
    # may take; and a file disguised as a video cannot make it read another file or address.
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": f"err_detect;crccheck+explode|max_pixels;{MAX_PIXELS}|"
    "format_whitelist;avi,mov,mp4|protocol_whitelist;file",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}
"""Options of OpenCV's FFmpeg, which takes them from environment variables only."""

_MP4 = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_MEMBER = "pixel_array.npy"
_HEADER_BYTES = 1024
# What numpy, zipfile and the parser of the header literal raise on damaged content.
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


def check_video_size(frames: int, frame_bytes: int) -> None:
    """Refuse impossible sizes before anything is allocated."""
    if frames < 1 or frame_bytes < 1:
        raise UnreadableFrame("video without frames")
    if frames > MAX_FRAMES:
        raise UnreadableFrame("too many frames in one file")
    if frames * frame_bytes > MAX_VIDEO_BYTES:
        raise UnreadableFrame("video too large")


class Video(NamedTuple):
    """A decoded file.

    Attributes:
        frames: grayscale, uint8, F×H×W.
        notes: how intensities were scaled, as (reason, detail).
    """

    frames: np.ndarray
    notes: tuple[tuple[str, str], ...] = ()


def read_frame(path: Path, position: int, decode: Callable[[Path], Video]) -> Video:
    """The frame at `position` (from 0) of a multi-frame file, uint8, H×W, and notes on the file.

    The last file stays decoded, because its frames are read in sequence.
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
    """The frames, or the reason for their absence: damaged files are not decoded again either."""
    try:
        return decode(path)
    except UnreadableFrame as error:
        return str(error)


def count_frames(path: Path) -> int:
    """Number of frames in an npz or npy file, from its header alone.

    The array is named ``pixel_array`` or is the only one; F×H×W, or H×W for a single frame.
    """
    with _open_array(path) as (shape, _):
        return shape[0]


def decode_array(path: Path) -> Video:
    """All frames of an npz or npy file.

    uint8 is kept. Other types are rounded, with negative values clipped to 0; if the maximum of the
    complete video exceeds 255, it decides the white level (`white_level`) of all frames.
    Floating-point videos in [0, 1] are scaled by 255.
    """
    with _open_array(path) as (shape, stream):
        values = npy.read_array(stream, allow_pickle=False, max_header_size=_HEADER_BYTES)
    return _to_grayscale(values.reshape(shape))


def _to_grayscale(values: np.ndarray) -> Video:
    if values.dtype == np.uint8:
        return Video(np.ascontiguousarray(values))
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UnreadableFrame("values not finite")
    factor = 255 if values.dtype.kind == "f" and low >= 0 and high <= 1 else 1
    white = white_level(0, max(0, round(factor * high)))
    video = np.empty(values.shape, np.uint8)
    for frame, gray in zip(values, video):
        gray[:] = scale_to_8_bits(np.rint(np.maximum(frame, 0) * np.float64(factor)), white)
    if white == 255:
        return Video(video)
    narrow = ((NARROW_RANGE, ""),) if has_narrow_range(video) else ()
    return Video(video, ((WHITE_FROM_MAXIMUM, white_note(white)), *narrow))


@contextmanager
def _open_array(path: Path) -> Iterator[tuple[tuple[int, ...], IO[bytes]]]:
    """Frames, height and width of the array in a file, and the stream to read it from."""
    with file_errors(path, "damaged array file", _DAMAGE):
        size = check_file_size(path, MAX_VIDEO_BYTES, "video")
        with open(path, "rb") as file:
            if path.suffix.lower() != ".npz":
                yield _read_shape(file, size), file
                return
            if not zipfile.is_zipfile(file):
                raise UnreadableFrame("not an npz file")
            with zipfile.ZipFile(file) as archive:
                member = _find_member(archive)
                with archive.open(member) as stream:
                    yield _read_shape(stream, member.file_size), stream


def _find_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The archive member that holds the frames; a single array may have any name."""
    members = {one.filename: one for one in archive.infolist() if one.filename.endswith(".npy")}
    if _MEMBER not in members and len(members) != 1:
        raise UnreadableFrame("npz without pixel_array")
    member = members.get(_MEMBER) or next(iter(members.values()))
    # numpy writes these two; others may need unbounded memory, or a password.
    supported = member.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    if not supported or member.flag_bits & 1:
        raise UnreadableFrame("unsupported npz compression or encryption")
    return member


def _read_shape(stream: IO[bytes], size: int) -> tuple[int, ...]:
    """Frames, height and width of an array whose header and values take `size` bytes together."""
    # Bounded: the header states its own length, up to 4 GiB.
    header = io.BytesIO(stream.read(_HEADER_BYTES))
    stream.seek(0)
    version = npy.read_magic(header)
    if version not in {(1, 0), (2, 0)}:
        raise UnreadableFrame("unsupported array type")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(header, max_header_size=_HEADER_BYTES)
    if dtype.hasobject:
        raise UnreadableFrame("object array")
    if dtype.kind not in "uif":
        raise UnreadableFrame("unsupported array type")
    shape = (1, *shape) if len(shape) == 2 else shape
    if len(shape) != 3 or shape[2] in (3, 4):
        raise UnreadableFrame("array is not frames×height×width")
    height, width = shape[1:]
    check_video_size(shape[0], height * width * dtype.itemsize if min(height, width) > 0 else 0)
    if header.tell() + math.prod(shape) * dtype.itemsize != size:
        raise UnreadableFrame("array size does not match the file")
    return shape


class VideoLength(NamedTuple):
    """Number of frames of an avi, mp4 or mov file.

    Attributes:
        frames: number that can be decoded.
        stated: number that its header states; an estimate, 0 where it states none.
    """

    frames: int
    stated: int


def count_video_frames(path: Path) -> VideoLength:
    """Number of frames in an avi, mp4 or mov file; all are decoded, as headers only estimate it.

    Raises:
        UnreadableFrame: the file is of another type or damaged, uses a codec that OpenCV lacks, or
            has too many or too large frames.
    """
    import cv2

    with _open_video(path) as capture:
        frames = 0
        while capture.grab():
            frames += 1
            if frames > MAX_FRAMES:
                break
        height, width = (
            capture.get(side) for side in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
        )
        check_video_size(frames, int(height) * int(width))
        return VideoLength(frames, max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))))


def decode_video(path: Path) -> Video:
    """All frames of an avi, mp4 or mov file, upright.

    Colour is converted to luma as in images (`rgb_to_grayscale`). Intensities are those of the
    decoder, the same function of the stored values for every frame: nothing is stretched.

    Raises:
        UnreadableFrame: as for `count_video_frames`, or its frames differ in size.
    """
    frames: list[np.ndarray] = []
    with _open_video(path) as capture:
        while capture.grab():
            decoded, colours = capture.retrieve()
            if not decoded or (frames and colours.shape[:2] != frames[0].shape):
                raise UnreadableFrame("frames of different sizes")
            frames.append(rgb_to_grayscale(colours[..., ::-1]))
            check_video_size(len(frames), frames[0].size)
    if not frames:
        raise UnreadableFrame("video without frames")
    return Video(np.stack(frames))


@contextmanager
def _open_video(path: Path) -> Iterator[cv2.VideoCapture]:
    import cv2

    level = cv2.utils.logging.getLogLevel()
    usual = {name: os.environ.get(name) for name in _FFMPEG}
    with file_errors(path, "damaged video", (cv2.error, UnicodeError, MemoryError)):
        check_file_size(path, MAX_VIDEO_BYTES, "video")
        with open(path, "rb") as file:
            start = file.read(12)
        if start[:4] + start[8:] != b"RIFFAVI " and start[4:8] not in _MP4:
            raise UnreadableFrame("not an avi, mp4 or mov file")
        capture = None
        os.environ.update(_FFMPEG)
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            # By its absolute path: "http:a.avi" is the name of a file here.
            capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
            if not capture.isOpened():
                raise UnreadableFrame("damaged video, or of an unknown codec")
            yield capture
        finally:
            if capture is not None:
                capture.release()
            cv2.utils.logging.setLogLevel(level)
            for name, value in usual.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
