"""Stored values of a DICOM file, and supported compressions."""

from __future__ import annotations

import functools
import re

import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from benchmark.data.formats.dicom.jpeg_header import check_jpeg_header
from benchmark.data.frame import UnreadableFrame

_LOSSLESS_JPEG = (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless)
_PACKAGES = {
    **dict.fromkeys(_LOSSLESS_JPEG, "python-gdcm"),
    **dict.fromkeys((HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL), "pylibjpeg pylibjpeg-openjpeg"),
    JPEGExtended12Bit: "pylibjpeg pylibjpeg-libjpeg",
}
"""Packages that decode a transfer syntax."""


def check_syntax(syntax: UID, bits: int) -> None:
    """Refuse pixels that no installed decoder supports, naming the transfer syntax and a remedy."""
    # pydicom inflates deflated files completely before their size can be checked.
    if syntax != DeflatedExplicitVRLittleEndian and _can_decode(syntax, bits):
        return
    named = syntax if re.fullmatch(r"[0-9.]{1,64}", syntax) else "unknown"
    if syntax.name != syntax:
        named = f"{named} ({syntax.name})"
    remedy = "export the file uncompressed"
    if syntax in _PACKAGES:
        remedy = f"pip install {_PACKAGES[syntax]}, or {remedy}"
    raise UnreadableFrame(f"DICOM transfer syntax {named} cannot be decoded; {remedy}")


def _can_decode(syntax: UID, bits: int) -> bool:
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return False
    if syntax == JPEGExtended12Bit and bits > 8:
        return "pylibjpeg" in decoder.available_plugins  # the others support 8 bits only
    return decoder.is_available


def read_stored_values(dataset: pydicom.Dataset, frames: int) -> np.ndarray:
    """Stored values of all frames, F×H×W, or F×H×W×3 for colour.

    Values in the upper bits of their words (HighBit) are shifted down. Damaged content raises
    whatever pydicom and its decoders raise.
    """
    if "PixelData" not in dataset:
        raise UnreadableFrame("DICOM without pixel data")
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    allocated, bits = int(dataset.BitsAllocated), int(dataset.BitsStored)
    high = dataset.get("HighBit")
    unused = 0 if high is None or samples > 1 else int(high) + 1 - bits
    if not 0 < unused <= allocated - bits:  # absent, or invalid and ignored
        return _decode(dataset, syntax, frames, samples)
    signed = dataset.PixelRepresentation
    # pydicom keeps only the lower bits; let it decode full words.
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = allocated, allocated - 1, 0
    words = _decode(dataset, syntax, frames, samples)
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, signed
    # A JPEG has its own precision, and its values may be shifted down already.
    shifted = syntax.is_encapsulated and syntax != RLELossless and words.max() < 1 << bits
    values = (words if shifted else words >> unused) & ((1 << bits) - 1)
    if not signed:
        return values
    sign = 1 << (bits - 1)
    return ((values.astype(np.int32) ^ sign) - sign).astype(f"i{words.dtype.itemsize}")


def _decode(dataset: pydicom.Dataset, syntax: UID, frames: int, samples: int) -> np.ndarray:
    decoder = get_decoder(syntax)
    # Pillow first, so that results do not depend on which other plugins are installed.
    plugin = "pillow" if "pillow" in decoder.available_plugins else ""
    if syntax in _LOSSLESS_JPEG:
        _silence_gdcm()
        _check_jpeg_frames(dataset, frames, samples)
    values, _ = decoder.as_array(dataset, decoding_plugin=plugin)
    shape = (dataset.Rows, dataset.Columns)
    return values.reshape(frames, *shape, *([samples] if samples > 1 else []))


def _check_jpeg_frames(dataset: pydicom.Dataset, frames: int, samples: int) -> None:
    offsets = None
    if "ExtendedOffsetTable" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    coded = generate_frames(dataset.PixelData, number_of_frames=frames, extended_offsets=offsets)
    for frame in coded:
        check_jpeg_header(frame, dataset.Rows, dataset.Columns, samples, int(dataset.BitsAllocated))


@functools.cache
def _silence_gdcm() -> None:
    """Silence GDCM's messages; those that matter become reasons."""
    try:
        import gdcm
    except ImportError:
        return  # another plugin decodes
    gdcm.Trace.DebugOff()
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
