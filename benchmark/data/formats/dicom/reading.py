"""X-ray angiographic (XA) DICOM files, single- and multi-frame, as grayscale images."""

from __future__ import annotations

import hashlib
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    EnhancedXAImageStorage,
    XRayAngiographicImageStorage,
)

from benchmark.data.formats.dicom.display import TAGS, display
from benchmark.data.formats.dicom.pixels import check_syntax, read_stored_values
from benchmark.data.formats.images import check_file_size, file_errors, rgb_to_grayscale
from benchmark.data.formats.video import MAX_VIDEO_BYTES, Video, check_video_size
from benchmark.data.frame import UnreadableFrame
from benchmark.data.sources.files import is_dicom

_XA_CLASSES = {XRayAngiographicImageStorage, EnhancedXAImageStorage}
_SIZE_TAGS = [
    "SOPClassUID",
    "Modality",
    "PatientID",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "PhotometricInterpretation",
]
_PIXEL_TAGS = [
    *_SIZE_TAGS,
    *TAGS,
    "HighBit",
    "PlanarConfiguration",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
]
# What pydicom raises on damaged content; its decoders report through RuntimeError.
_DAMAGE = (
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    StopIteration,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    pydicom.errors.BytesLengthException,
    pydicom.errors.InvalidDicomError,
)


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """Number of frames and patient of an XA file.

    Attributes:
        frames: number of frames.
        patient: first 12 hex digits of the SHA-256 of PatientID; None if it is empty. This keeps
            the identifier itself out of the index, but short ones can be recovered by brute force:
            it is pseudonymisation, not anonymisation.
    """

    frames: int
    patient: str | None


def read_dicom_header(path: Path) -> DicomHeader:
    """Read the header of an XA DICOM file, without pixels."""
    with _open(path, _SIZE_TAGS, pixels=False) as dataset:
        frames = _check(dataset, path)
        patient = str(dataset.get("PatientID") or "").strip()
        digest = hashlib.sha256(patient.encode()).hexdigest()[:12]
        return DicomHeader(frames, digest if patient else None)


def decode_dicom(path: Path) -> Video:
    """Decode all frames of an XA DICOM file: grayscale by `display`, 8-bit colour to luma."""
    with _open(path, _PIXEL_TAGS, pixels=True) as dataset:
        frames = _check(dataset, path)
        stored = read_stored_values(dataset, frames)
        if stored.ndim == 4 and stored.dtype == np.uint8 and stored.shape[3] == 3:
            return Video(np.stack([rgb_to_grayscale(frame) for frame in stored]))
        if stored.ndim == 4 or stored.dtype.kind not in "ui" or stored.dtype.itemsize > 2:
            raise UnreadableFrame("unsupported DICOM pixels")
        return display(stored, dataset)


@contextmanager
def _open(path: Path, tags: list[str], pixels: bool) -> Iterator[pydicom.Dataset]:
    # pydicom warns about every header anomaly; those that matter become reasons.
    with file_errors(path, "damaged DICOM", _DAMAGE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_file_size(path, MAX_VIDEO_BYTES, "video")
        if not is_dicom(path):
            raise UnreadableFrame("not a DICOM file")
        meta = pydicom.filereader.read_file_meta_info(path)
        # pydicom inflates deflated files completely before their size can be checked.
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            check_syntax(meta.TransferSyntaxUID, 8)
        yield pydicom.dcmread(path, stop_before_pixels=not pixels, specific_tags=tags)


def _check(dataset: pydicom.Dataset, path: Path) -> int:
    """Number of frames of a file, after validating its header."""
    modality, kind = dataset.get("Modality"), dataset.get("SOPClassUID")
    if not (modality or kind):
        # Every DICOM object has both, near the start.
        raise UnreadableFrame("damaged DICOM")
    if modality != "XA" and kind not in _XA_CLASSES:
        raise UnreadableFrame("DICOM modality is not XA")
    if not (dataset.get("Rows") and dataset.get("Columns")):
        raise UnreadableFrame("DICOM without pixel data")
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if not photometric.startswith(("MONOCHROME", "RGB", "YBR_")):
        raise UnreadableFrame("unsupported DICOM pixels")
    frames = int(dataset.get("NumberOfFrames") or 1)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    bits = int(dataset.get("BitsAllocated") or 8)
    frame_bytes = int(dataset.Rows) * int(dataset.Columns) * samples * bits // 8
    check_video_size(frames, frame_bytes)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    check_syntax(syntax, int(dataset.get("BitsStored") or bits))
    # Chroma subsampling stores less than it decodes to, but never less than half.
    stored = frames * frame_bytes // (2 if "_42" in photometric else 1)
    if not syntax.is_compressed and stored > path.stat().st_size:
        raise UnreadableFrame("damaged DICOM")
    return frames
