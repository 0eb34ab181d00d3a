"""Encoders of compressed DICOM frames, written from the standards and not by what decodes them."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pydicom
from pydicom.encaps import encapsulate

from benchmark.data.synthetic.raw.containers import dicom_bytes


def jpeg_lossless(values: np.ndarray, bits: int, predictor: int = 1) -> bytes:
    """JPEG Lossless, Huffman, non-hierarchical (ITU-T T.81, process 14), one component.

    Args:
        values: unsigned, H×W.
        bits: precision, 2–16.
        predictor: selection value, 1–7; 1 is all that the transfer syntax .70 allows.
    """
    height, width = values.shape
    x = values.astype(np.int64)
    left, above, corner = np.zeros((3, height, width), np.int64)
    left[:, 1:], above[1:], corner[1:, 1:] = x[:, :-1], x[:-1], x[:-1, :-1]
    guess = {
        1: left,
        2: above,
        3: corner,
        4: left + above - corner,
        5: left + ((above - corner) >> 1),
        6: above + ((left - corner) >> 1),
        7: (left + above) >> 1,
    }[predictor].copy()
    guess[0], guess[:, 0] = left[0], above[:, 0]
    guess[0, 0] = 1 << (bits - 1)
    difference = (x - guess + 32767) % 65536 - 32767
    digits = []
    for value in difference.ravel().tolist():
        category = abs(value).bit_length() if value != 32768 else 16
        digits.append(f"{category:05b}")  # 17 categories, all with codes of five bits
        if 0 < category < 16:
            digits.append(f"{value if value > 0 else value + (1 << category) - 1:0{category}b}")
    text = "".join(digits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")
    frame = struct.pack(">BHHBBBB", bits, height, width, 1, 1, 0x11, 0)
    codes = bytes([0, *([0] * 4), 17, *([0] * 11), *range(17)])
    head = bytes([1, 1, 0, predictor, 0, 0])
    content = b"\xff\xd8"
    for marker, data in ((0xC3, frame), (0xC4, codes), (0xDA, head)):
        content += struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
    return content + scan + b"\xff\xd9"


def rle(values: np.ndarray) -> bytes:
    """RLE Lossless (PS3.5 annex G): one segment for each byte of a value, the high one first.

    Rows that repeat one byte are runs, all else are literals.
    """
    planes = values.astype(values.dtype.newbyteorder(">")).view(np.uint8)
    planes = planes.reshape(*values.shape, -1)
    segments = []
    for plane in np.moveaxis(planes, 2, 0):
        segment = b""
        for row in plane:
            for start in range(0, len(row), 128):
                piece = row[start : start + 128]
                if len(piece) > 1 and (piece == piece[0]).all():
                    segment += bytes([257 - len(piece), piece[0]])
                else:
                    segment += bytes([len(piece) - 1]) + piece.tobytes()
        segments.append(segment + b"\0" * (len(segment) % 2))
    offsets = np.cumsum([64, *map(len, segments[:-1])])
    header = struct.pack("<16I", len(segments), *offsets, *([0] * (15 - len(segments))))
    return header + b"".join(segments)


def encapsulated(
    pixels: np.ndarray, frames: Sequence[bytes], syntax: str, pieces: int = 1, **elements: Any
) -> bytes:
    """An XA DICOM file of frames that are encoded already.

    Args:
        pixels: what they show, for the header; F×H×W.
        frames: encoded.
        syntax: transfer syntax.
        pieces: fragments of each frame.
        elements: as for `dicom_bytes`.
    """
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(pixels, **elements)))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate(list(frames), fragments_per_frame=pieces)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
