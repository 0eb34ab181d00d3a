"""Validating the header of a lossless JPEG or JPEG-LS stream before it is decoded.

GDCM's libjpeg trusts it: invalid tables, sizes or precisions lead to invalid memory accesses.
"""

from __future__ import annotations

from collections.abc import Iterator

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_TABLES, _RESTART = 0xC4, 0xDD
_LOSSLESS, _JPEG_LS = 0xC3, 0xF7
_HARMLESS = {0xDB, 0xDD, 0xF8, 0xFE, *range(0xE0, 0xF0)}
_LARGEST_CATEGORY = 16
"""For the difference of two 16-bit values."""


def check_jpeg_header(content: bytes, rows: int, columns: int, samples: int, bits: int) -> None:
    """Check a stream up to its entropy-coded data; `ValueError` if it is damaged or unexpected.

    It must have `rows`×`columns` pixels of `samples` components and a precision of at most `bits`.
    """
    tables: set[int] = set()
    components: list[int] = []
    lossless = False
    for marker, data in _segments(content):
        if marker in {_LOSSLESS, _JPEG_LS}:
            _require(not components and len(data) == 6 + 3 * samples)
            lossless = marker == _LOSSLESS
            _require(2 <= data[0] <= bits and data[5] == samples)
            _require(data[1:5] == rows.to_bytes(2, "big") + columns.to_bytes(2, "big"))
            components = list(data[6::3])
            _require(len(set(components)) == samples)
            # Sampling factors are meaningless for a single component.
            _require(all(factor == 0x11 or samples == 1 for factor in data[7::3]))
            precision = data[0]
        elif marker == _TABLES:
            tables |= set(_tables(data))
        elif marker == _SCAN:
            _require(bool(components) and len(data) >= 4 and len(data) == 4 + 2 * data[0])
            chosen = list(data[1:-3:2])
            _require(bool(chosen) and set(chosen) <= set(components))
            if lossless:
                _require({table >> 4 for table in data[2:-3:2]} <= tables)
                _require(1 <= data[-3] <= 7 and data[-2] == 0 and data[-1] < precision)
            return
        else:
            _require(marker in _HARMLESS)
    _require(False)


def _segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and data of each segment."""
    _require(content[:2] == bytes([0xFF, _START]))
    # DICOM pads a stream to an even length.
    _require(content.rstrip(b"\0").endswith(bytes([0xFF, _END])))
    at = 2
    while True:
        _require(content[at : at + 1] == b"\xff")
        while content[at : at + 1] == b"\xff":
            at += 1
        length = int.from_bytes(content[at + 1 : at + 3], "big")
        _require(length >= 2 and at + 1 + length <= len(content))
        yield content[at], content[at + 3 : at + 1 + length]
        at += 1 + length


def _tables(data: bytes) -> Iterator[int]:
    """Numbers of the DC tables of a segment, the only ones lossless JPEG uses."""
    at = 0
    while at < len(data):
        kind, number = divmod(data[at], 16)
        counts = data[at + 1 : at + 17]
        symbols = data[at + 17 : at + 17 + sum(counts)]
        _require(kind < 2 and number < 4 and len(counts) == 16)
        _require(0 < len(symbols) == sum(counts) <= 256)
        code = 0
        for length, count in enumerate(counts, start=1):
            code = (code << 1) + count
            _require(code <= 1 << length)
        if kind == 0:
            _require(max(symbols) <= _LARGEST_CATEGORY)
            yield number
        at += 17 + len(symbols)


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError("damaged JPEG header")
