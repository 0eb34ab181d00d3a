"""Multi-frame arrays: intensities, limits, damage, and the cache."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmark.data.formats import video
from benchmark.data.formats.video import count_frames, decode_array, read_frame
from benchmark.data.frame import UnreadableFrame
from benchmark.data.synthetic.raw.containers import forged_npz, npy_bytes, npz_bytes

GRAY = np.random.default_rng(0).integers(0, 256, (3, 20, 30)).astype(np.uint8)


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _npz(folder: Path, array: np.ndarray) -> Path:
    return _write(folder / "a.npz", npz_bytes(pixel_array=array))


@pytest.mark.parametrize("kind", ["packed.npz", "plain.npz", "other_name.npz", "a.npy"])
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">u2", "<i8", "<f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_encodings_read_the_same(tmp_path, kind, dtype, order):
    array = np.asarray(GRAY.astype(dtype), order=order)
    content = {
        "packed.npz": lambda: npz_bytes(pixel_array=array, seriesid=np.array([{}], object)),
        "plain.npz": lambda: npz_bytes(compressed=False, pixel_array=array),
        "other_name.npz": lambda: npz_bytes(frames=array),
        "a.npy": lambda: npy_bytes(array),
    }[kind]()
    path = _write(tmp_path / kind, content)
    assert count_frames(path) == 3
    decoded = decode_array(path).frames
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, GRAY)


def test_2d_array_is_one_frame(tmp_path):
    path = _npz(tmp_path, GRAY[1])
    assert count_frames(path) == 1
    np.testing.assert_array_equal(decode_array(path).frames, GRAY[1:2])


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        # Rounded, and clipped below.
        ([[[-5.0, 0.49, 0.51, 199.6, 255.3]]], "f8", [[[0, 0, 1, 200, 255]]]),
        ([[[-300, -1, 0, 7, 255]]], "i2", [[[0, 0, 0, 7, 255]]]),
        # The first frame alone looks like 8 bits; with the second, it is 12-bit data.
        ([[[0, 200]], [[2048, 4095]]], "u2", [[[0, 12]], [[128, 255]]]),
        ([[[0, 200]], [[2048, 4096]]], "u2", [[[0, 3]], [[32, 64]]]),
        # Fractions of white.
        ([[[0, 0.1, 0.5, 0.8, 1]]], "f4", [[[0, 26, 128, 204, 255]]]),
    ],
)
def test_intensity_scaling(tmp_path, values, kind, expected):
    assert decode_array(_npz(tmp_path, np.array(values, kind))).frames.tolist() == expected


def _patched(content: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert old in content
    return content.replace(old, new)


def _long_header() -> bytes:
    """An npy file of version 2 that claims a header of 4 GiB."""
    return b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1) + b"{" * 2000


def _bzip2() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("pixel_array.npy", npy_bytes(GRAY))
    return stream.getvalue()


def _encrypted() -> bytes:
    content = bytearray(npz_bytes(compressed=False, pixel_array=GRAY))
    content[content.index(b"PK\1\2") + 8] |= 1
    return bytes(content)


SHAPE = b"(3, 20, 30)"
NPZ = {
    "empty file": [b""],
    "not an npz file": [b"no zip", npz_bytes(pixel_array=GRAY)[:900]],
    "npz without pixel_array": [npz_bytes(a=GRAY, b=GRAY)],
    "unsupported npz compression or encryption": [_bzip2(), _encrypted()],
    "object array": [npz_bytes(pixel_array=np.array([{}], object))],
    "unsupported array type": [npz_bytes(pixel_array=GRAY > 3)],
    "array size does not match the file": [forged_npz((3, 512, 512), b"\7" * 99)],
    "video too large": [forged_npz((3, 60_000, 60_000), b"\7" * 99)],
    "too many frames in one file": [forged_npz((10_001, 1, 1), b"\7" * 10_001)],
}
NPY = {
    "unsupported array type": [
        npy_bytes(np.zeros(3, "u1,u1")),
        npy_bytes(np.zeros((2, 2), "U3")),
        _patched(npy_bytes(GRAY), b"NUMPY\1", b"NUMPY\3"),
    ],
    "array is not frames×height×width": [
        npy_bytes(part) for part in (GRAY[0, 0], GRAY[None], GRAY[:, :, :3])
    ],
    "video without frames": [
        *(npy_bytes(GRAY[:0]), npy_bytes(GRAY[:, :0])),
        _patched(npy_bytes(GRAY), SHAPE, b"(3,-20,-30)"),
    ],
    "array size does not match the file": [npy_bytes(GRAY)[:-1], npy_bytes(GRAY) + b"\0"],
    "damaged array file": [
        _patched(npy_bytes(GRAY), SHAPE, b"(3, 20, 3_)"),
        _patched(npy_bytes(GRAY), b"NUMPY", b"NUMPI"),
        _long_header(),
    ],
}
FORGED = [("a.npz", *case) for case in NPZ.items()] + [("a.npy", *case) for case in NPY.items()]


@pytest.mark.parametrize(("name", "reason", "contents"), FORGED)
def test_untrusted_headers(tmp_path, name, reason, contents):
    for content in contents:
        path = _write(tmp_path / name, content)
        for read in (count_frames, decode_array):
            with pytest.raises(UnreadableFrame, match=reason):
                read(path)
    with pytest.raises(UnreadableFrame, match="file missing"):
        count_frames(tmp_path / "absent.npz")


def test_count_frames_reads_the_header_only(tmp_path):
    large = np.repeat(GRAY, 50, axis=1)
    content = bytearray(npz_bytes(compressed=False, pixel_array=large))
    content[len(content) // 2] ^= 1
    path = _write(tmp_path / "a.npz", bytes(content))
    assert count_frames(path) == 3
    with pytest.raises(UnreadableFrame, match="damaged array file"):
        decode_array(path)


def test_invalid_values_are_refused(tmp_path):
    values = GRAY.astype(np.float64)
    for invalid, reason in ((np.nan, "finite"), (np.inf, "finite"), (65536.0, "outside 16 bits")):
        values[1, 2, 3] = invalid
        with pytest.raises(UnreadableFrame, match=reason):
            decode_array(_npz(tmp_path, values))


class _Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_nothing_is_unpickled(tmp_path):
    trap = np.array([_Trap(tmp_path / "trace")], dtype=object)
    path = _write(tmp_path / "a.npz", npz_bytes(pixel_array=GRAY, studyid=trap))
    np.testing.assert_array_equal(decode_array(path).frames, GRAY)
    inside = _write(tmp_path / "b.npz", npz_bytes(pixel_array=trap))
    with pytest.raises(UnreadableFrame, match="object array"):
        decode_array(inside)
    assert not (tmp_path / "trace").exists()
    np.load(inside, allow_pickle=True)["pixel_array"]
    assert (tmp_path / "trace").exists(), "the trap works"


def test_large_files_are_refused(tmp_path, monkeypatch):
    path = _npz(tmp_path, GRAY)
    monkeypatch.setattr(video, "MAX_VIDEO_BYTES", GRAY.nbytes - 1)
    with pytest.raises(UnreadableFrame, match="video too large"):
        count_frames(path)


def test_decoded_file_is_cached_until_it_changes(tmp_path):
    calls = []

    def decode(path: Path) -> video.Video:
        calls.append(path.name)
        return decode_array(path)

    path = _npz(tmp_path, GRAY)
    frames = [read_frame(path, position, decode).frames for position in (0, 2, 1)]
    np.testing.assert_array_equal(frames, GRAY[[0, 2, 1]])
    assert calls == ["a.npz"]
    frames[0][:] = 0
    np.testing.assert_array_equal(read_frame(path, 0, decode).frames, GRAY[0])
    with pytest.raises(UnreadableFrame, match="no frame of this number"):
        read_frame(path, 3, decode)
    _npz(tmp_path, GRAY[:2, :10])
    np.testing.assert_array_equal(read_frame(path, 1, decode).frames, GRAY[1, :10])
    path.write_bytes(b"damaged")
    for position in (0, 1):
        with pytest.raises(UnreadableFrame, match="not an npz file"):
            read_frame(path, position, decode)
    assert calls == ["a.npz"] * 3, "damage is found once, not once a frame"


def test_random_damage(tmp_path):
    random = np.random.default_rng(1)
    path = tmp_path / "a.npz"
    intact = npz_bytes(compressed=False, pixel_array=GRAY)
    reasons = set()
    for trial in range(300):
        content = bytearray(intact)
        # The headers are at both ends.
        places = random.integers(-400, 400, 3)
        content[places[0]] = content[places[1]] = random.integers(256)
        path.write_bytes(content[: random.integers(len(content))] if trial % 9 == 0 else content)
        try:
            assert decode_array(path).frames.dtype == np.uint8
        except UnreadableFrame as error:
            reasons.add(str(error))
    assert {"damaged array file", "not an npz file"} <= reasons
