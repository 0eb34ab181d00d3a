"""Image files of more than 8 bits, as bytes."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import tifffile


def tiff_bytes(values: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


def opencv_bytes(form: str, values: np.ndarray, *options: int) -> bytes:
    order = [0] if values.ndim == 2 else [2, 1, 0, 3][: values.shape[2]]
    return cv2.imencode(form, values.reshape(*values.shape[:2], -1)[..., order], options)[
        1
    ].tobytes()


def png_bytes(values: np.ndarray, significant: int | None = None) -> bytes:
    """A 16-bit PNG written by hand, gray, gray and alpha, or RGB; with an sBIT chunk."""
    height, width = values.shape[:2]
    values = values.reshape(height, width, -1)
    kind = {1: 0, 2: 4, 3: 2}[values.shape[2]]
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))]
    if significant is not None:
        chunks.append((b"sBIT", bytes([significant] * values.shape[2])))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        content += struct.pack(">I", len(data)) + name + data
        content += struct.pack(">I", zlib.crc32(name + data))
    return content


def packed_tiff_bytes(
    values: np.ndarray, bits: int, photometric: int = 1, orientation: int = 1
) -> bytes:
    """A TIFF whose values take `bits` bits each, the rows padded to whole bytes."""
    rows = b""
    for row in values:
        digits = "".join(format(value, f"0{bits}b") for value in row)
        digits += "0" * (-len(digits) % 8)
        rows += int(digits, 2).to_bytes(len(digits) // 8, "big")
    height, width = values.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric)]
    tags += [
        (273, 8 + 2 + 12 * 10 + 4),
        (274, orientation),
        (277, 1),
        (278, height),
        (279, len(rows)),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + rows
