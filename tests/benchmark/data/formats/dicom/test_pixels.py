"""Compressed and unusually stored pixels, exact to the value, and errors for unsupported ones.

Streams come from encoders independent of the decoders: JPEG Lossless and RLE from
`dicom_codecs`, JPEG-LS from CharLS, JPEG 2000 from Pillow's openjpeg and, for its own precision,
from GDCM (which Pillow decodes).
"""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import gdcm
import jpeg_ls
import numpy as np
import pydicom
import pytest
from dicom_codecs import encapsulated, jpeg_lossless, rle
from PIL import Image
from pydicom.uid import (
    HTJ2K,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from benchmark.data.formats.dicom import pixels as dicom_pixels
from benchmark.data.formats.dicom.jpeg_header import check_jpeg_header
from benchmark.data.formats.dicom.pixels import read_stored_values
from benchmark.data.formats.dicom.reading import decode_dicom, read_dicom_header
from benchmark.data.frame import UnreadableFrame
from benchmark.data.packs import build_pack
from benchmark.data.sources import open_source
from benchmark.data.synthetic.raw.containers import dicom_bytes

RANDOM = np.random.default_rng(0)


def _pixels(bits: int, frames: int = 3) -> np.ndarray:
    """Noise with a flat patch, and both ends of the range."""
    kind = np.uint8 if bits <= 8 else np.uint16
    pixels = RANDOM.integers(0, 1 << bits, (frames, 22, 34)).astype(kind)
    pixels[:, 3:9] = pixels[:, 3:4, :1]
    pixels[:, 0, :2] = 0, (1 << bits) - 1
    return pixels


def _jpeg_2000(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
    return stream.getvalue()


def _stored(content: bytes, frames: int) -> np.ndarray:
    return read_stored_values(pydicom.dcmread(io.BytesIO(content)), frames)


ENCODERS = {
    "lossless": (JPEGLosslessSV1, lambda values, bits: jpeg_lossless(values, bits)),
    **{
        f"lossless, predictor {n}": (JPEGLossless, lambda v, bits, n=n: jpeg_lossless(v, bits, n))
        for n in range(1, 8)
    },
    "JPEG-LS": (JPEGLSLossless, lambda values, bits: bytes(jpeg_ls.encode_array(values))),
    "JPEG 2000": (JPEG2000Lossless, lambda values, bits: _jpeg_2000(values)),
    "RLE": (RLELossless, lambda values, bits: rle(values)),
}


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("name", ENCODERS)
def test_compressed_values_are_exact(tmp_path: Path, name: str, bits: int, frames: int):
    syntax, encode = ENCODERS[name]
    pixels = _pixels(bits, frames)
    coded = [encode(values, bits) for values in pixels]
    depth = {"BitsStored": bits, "HighBit": bits - 1}
    for pieces in (1, 2):
        if pieces == 2 and syntax == RLELossless:  # one fragment each, by the standard
            continue
        content = encapsulated(pixels, coded, syntax, pieces, **depth)
        np.testing.assert_array_equal(_stored(content, frames), pixels)
    (tmp_path / "plain").write_bytes(dicom_bytes(pixels, **depth))
    (tmp_path / "coded").write_bytes(content)
    assert read_dicom_header(tmp_path / "coded").frames == frames
    plain, decoded = (decode_dicom(tmp_path / file) for file in ("plain", "coded"))
    np.testing.assert_array_equal(decoded.frames, plain.frames)
    assert decoded.notes == plain.notes


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_compressed_signed_values_are_exact(bits: int):
    pixels = _pixels(bits)
    elements = {"BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": 1}
    signed = pixels.astype(np.int32)
    signed[signed >= 1 << (bits - 1)] -= 1 << bits
    for name in ("lossless", "JPEG-LS", "RLE"):
        syntax, encode = ENCODERS[name]
        coded = [encode(values, bits) for values in pixels]
        stored = _stored(encapsulated(pixels, coded, syntax, **elements), len(pixels))
        np.testing.assert_array_equal(stored, signed)


@pytest.mark.parametrize(
    "syntax", ["JPEG2000Lossless", "JPEGLSLossless", "JPEGLosslessProcess14_1"]
)
@pytest.mark.parametrize("bits", [8, 12])
def test_gdcm_files_are_exact(tmp_path: Path, syntax: str, bits: int):
    pixels = _pixels(bits)
    (tmp_path / "plain").write_bytes(dicom_bytes(pixels, BitsStored=bits, HighBit=bits - 1))
    reader = gdcm.ImageReader()
    reader.SetFileName(str(tmp_path / "plain"))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(tmp_path / "coded"))
    assert writer.Write()
    np.testing.assert_array_equal(_stored((tmp_path / "coded").read_bytes(), 3), pixels)


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize(("bits", "high"), [(10, 15), (12, 15), (12, 13), (8, 15)])
def test_values_in_the_upper_bits_are_shifted_down(bits: int, high: int, signed: int):
    values = RANDOM.integers(0, 1 << bits, (2, 12, 10)).astype(np.uint16)
    shift = high + 1 - bits
    # Bits outside the stored ones are ignored; they may hold overlays.
    junk = RANDOM.integers(0, 1 << 16, values.shape) & ~(((1 << bits) - 1) << shift)
    words = ((values << shift) | junk).astype(np.uint16)
    elements = {"BitsStored": bits, "HighBit": high, "PixelRepresentation": signed}
    expected = values.astype(np.int64)
    if signed:
        expected[expected >= 1 << (bits - 1)] -= 1 << bits
    np.testing.assert_array_equal(_stored(dicom_bytes(words, **elements), 2), expected)
    coded = encapsulated(words, [rle(frame) for frame in words], RLELossless, **elements)
    np.testing.assert_array_equal(_stored(coded, 2), expected)


def test_upper_bits_in_a_jpeg_of_either_precision():
    values = RANDOM.integers(0, 1 << 10, (2, 12, 10)).astype(np.uint16)
    for stream, bits in ((values << 6, 16), (values, 10)):
        coded = [jpeg_lossless(frame, bits) for frame in stream]
        content = encapsulated(values, coded, JPEGLosslessSV1, BitsStored=10, HighBit=15)
        np.testing.assert_array_equal(_stored(content, 2), values)


@pytest.mark.parametrize("high", [0, 7, 16, 40])
def test_invalid_high_bit_is_ignored(high: int):
    values = RANDOM.integers(0, 1 << 12, (2, 12, 10)).astype(np.uint16)
    content = dicom_bytes(values, BitsStored=12, HighBit=high)
    np.testing.assert_array_equal(_stored(content, 2), values)


@pytest.mark.parametrize(
    ("syntax", "name", "bits", "packages"),
    [
        ("1.2.840.10008.1.2.4.102", " (MPEG-4 AVC/H.264 High Profile / Level 4.1)", 8, ""),
        (JPEGExtended12Bit, " (JPEG Extended (Process 2 and 4))", 12, "pylibjpeg-libjpeg"),
        (HTJ2K, " (High-Throughput JPEG 2000 Image Compression)", 12, "pylibjpeg-openjpeg"),
        ("1.2.3.4", "", 8, ""),
    ],
)
def test_unsupported_transfer_syntax(tmp_path, syntax, name, bits, packages):
    remedy = f"pip install pylibjpeg {packages}, or " if packages else ""
    content = dicom_bytes(_pixels(bits), syntax=syntax, BitsStored=bits, HighBit=bits - 1)
    (tmp_path / "a.dcm").write_bytes(content)
    for read in (read_dicom_header, decode_dicom):
        with pytest.raises(UnreadableFrame) as caught:
            read(tmp_path / "a.dcm")
        assert str(caught.value) == (
            f"DICOM transfer syntax {syntax}{name} cannot be decoded; {remedy}export the file "
            "uncompressed"
        )


def test_missing_gdcm(tmp_path: Path, monkeypatch):
    pixels = _pixels(8, 1)
    content = encapsulated(pixels, [jpeg_lossless(pixels[0], 8)], JPEGLosslessSV1)
    (tmp_path / "a.dcm").write_bytes(content)
    nothing = SimpleNamespace(is_available=False, available_plugins=())
    monkeypatch.setattr(dicom_pixels, "get_decoder", lambda syntax: nothing)
    with pytest.raises(UnreadableFrame, match=r"1\.2\.4\.70 .* pip install python-gdcm, or export"):
        decode_dicom(tmp_path / "a.dcm")


def test_damaged_streams_are_refused_before_decoding(tmp_path: Path):
    pixels = _pixels(12, 1)
    intact = jpeg_lossless(pixels[0], 12)
    check_jpeg_header(intact, 22, 34, 1, 16)
    check_jpeg_header(intact + b"\0", 22, 34, 1, 16)
    path = tmp_path / "a.dcm"
    random = np.random.default_rng(1)
    damaged = [intact[:cut] for cut in random.integers(2, len(intact) - 2, 8)]
    damaged += [
        jpeg_lossless(pixels[0][:20], 12),
        jpeg_lossless(pixels[0][:, :20], 12),
        b"\xff\xd8",
    ]
    changes = {
        b"\xff\xc3": ((4, 17), (4, 1), (9, 2), (13, 0xC4)),  # precision, components
        b"\xff\xda": ((4, 2), (5, 9), (6, 0x10), (7, 0), (7, 8), (8, 1), (9, 12)),  # predictor
        b"\xff\xc4": ((4, 0x04), (4, 0x20), (5, 3), (9, 33), (21, 17)),  # tables
    }
    for marker, places in changes.items():
        for place, value in places:
            content = bytearray(intact)
            content[intact.index(marker) + place] = value
            damaged.append(bytes(content))
    depth = {"BitsStored": 12, "HighBit": 11}
    for content in damaged:
        path.write_bytes(encapsulated(pixels, [content], JPEGLosslessSV1, **depth))
        with pytest.raises(UnreadableFrame, match="damaged DICOM"):
            decode_dicom(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lossless", "JPEG-LS"])
def test_random_damage_never_crashes_the_process(tmp_path: Path, name: str):
    """Invalid tables and sizes make GDCM's libjpeg access invalid memory."""
    syntax, encode = ENCODERS[name]
    pixels = _pixels(12, 1)
    intact = encode(pixels[0], 12)
    random = np.random.default_rng(2)
    for _ in range(5000):
        content = bytearray(intact)
        for place in random.integers(0, 90, 2):
            content[place] = random.integers(256)
        if random.random() < 0.3:
            content[random.integers(len(content))] = random.integers(256)
        coded = encapsulated(pixels, [bytes(content)], syntax, BitsStored=12, HighBit=11)
        (tmp_path / "a.dcm").write_bytes(coded)
        try:
            assert decode_dicom(tmp_path / "a.dcm").frames.shape == pixels.shape
        except UnreadableFrame:
            continue


def test_compressed_videos_in_workers(tmp_path: Path):
    (tmp_path / "raw").mkdir()
    for number in range(4):
        pixels = _pixels(12)
        coded = [jpeg_lossless(frame, 12) for frame in pixels]
        content = encapsulated(pixels, coded, JPEGLosslessSV1, BitsStored=12, HighBit=11)
        (tmp_path / "raw" / f"{number}.dcm").write_bytes(content)
    packs = [
        build_pack(
            open_source("folder", tmp_path / "raw"),
            tmp_path / str(workers),
            32,
            workers=workers,
            progress=False,
        )
        for workers in (0, 2)
    ]
    assert len(packs[0]) == 12
    assert packs[0].corpus_hash == packs[1].corpus_hash
    np.testing.assert_array_equal(packs[0].frames, packs[1].frames)
