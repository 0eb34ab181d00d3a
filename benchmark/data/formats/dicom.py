"""X-ray angiographic (XA) DICOM files, single- and multi-frame, as grey pictures.

Stored values go through the grey-scale pipeline of DICOM PS3.3 C.11: rescale, window, polarity.
"""

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
from pydicom.pixels import apply_modality_lut, apply_voi, get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    EnhancedXAImageStorage,
    XRayAngiographicImageStorage,
)

from benchmark.data.formats.pictures import colour_to_grey, file_errors
from benchmark.data.formats.video import MAX_BYTES, Video, check_size
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
    "PhotometricInterpretation",
]
_PIXEL_TAGS = [
    *_SIZE_TAGS,
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PlanarConfiguration",
    "PixelIntensityRelationship",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
]
_PERCENTILES = (0.5, 99.5)
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
    """What is known of an XA file without decoding it.

    Attributes:
        frames: number of frames.
        patient: first 12 hex digits of the SHA-256 of PatientID; None where it is empty. It keeps
            the identifier itself out of an index, but a short identifier can be found by trying
            all: it is a pseudonym, not an anonymisation.
    """

    frames: int
    patient: str | None


def read_dicom_header(path: Path) -> DicomHeader:
    """Header of an XA DICOM file; pixels are not read.

    Raises:
        UnreadableFrame: the file is not DICOM, damaged, of another modality, without pictures,
            far too large, or compressed in a way no installed decoder undoes.
        OSError: the disk or the system failed.
    """
    with _open(path, _SIZE_TAGS, pixels=False) as dataset:
        frames = _check(dataset, path)
        patient = str(dataset.get("PatientID") or "").strip()
        digest = hashlib.sha256(patient.encode()).hexdigest()[:12]
        return DicomHeader(frames, digest if patient else None)


def decode_dicom(path: Path) -> Video:
    """All frames of an XA DICOM file, black to white as on the display.

    Modality LUT or rescale, unless the pixels are LOG or DISP (for XA these lead back to the X-ray
    intensity and are not for display, PS3.3 C.8.7.1.1.2); then the first window, else the first
    VOI LUT; else 8-bit values as they are and deeper ones from the 0.5th to the 99.5th percentile
    of the whole file. MONOCHROME1 is inverted, colour becomes luma.

    Raises:
        UnreadableFrame: see `read_dicom_header`; also pixels that are missing, damaged or of an
            unsupported type.
        OSError: the disk or the system failed.
    """
    with _open(path, _PIXEL_TAGS, pixels=True) as dataset:
        frames = _check(dataset, path)
        if "PixelData" not in dataset:
            raise UnreadableFrame("DICOM without pictures")
        stored = dataset.pixel_array
        colour = dataset.get("SamplesPerPixel", 1) == 3
        stored = stored.reshape(frames, *stored.shape[-3 if colour else -2 :])
        if colour and stored.dtype == np.uint8:
            return Video(np.stack([colour_to_grey(frame) for frame in stored]))
        if colour or stored.dtype.kind not in "ui" or stored.dtype.itemsize > 2:
            raise UnreadableFrame("unsupported DICOM pixels")
        return Video(_display(stored, dataset))


@contextmanager
def _open(path: Path, tags: list[str], pixels: bool) -> Iterator[pydicom.Dataset]:
    # pydicom warns about every oddity of a header; what matters here becomes a reason.
    with file_errors(path, "damaged DICOM", _DAMAGE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        size = path.stat().st_size
        if size == 0:
            raise UnreadableFrame("empty file")
        if size > MAX_BYTES:
            raise UnreadableFrame("video too large")
        if not is_dicom(path):
            raise UnreadableFrame("not a DICOM file")
        meta = pydicom.filereader.read_file_meta_info(path)
        # Deflated files are unpacked whole before anything is known about their size.
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            raise UnreadableFrame("DICOM compression that cannot be decoded")
        yield pydicom.dcmread(path, stop_before_pixels=not pixels, specific_tags=tags)


def _check(dataset: pydicom.Dataset, path: Path) -> int:
    """Number of frames of a file whose header makes sense."""
    modality, kind = dataset.get("Modality"), dataset.get("SOPClassUID")
    if not (modality or kind):
        # Every DICOM object has them, and near the beginning.
        raise UnreadableFrame("damaged DICOM")
    if modality != "XA" and kind not in _XA_CLASSES:
        raise UnreadableFrame("DICOM of another modality than XA")
    if not (dataset.get("Rows") and dataset.get("Columns")):
        raise UnreadableFrame("DICOM without pictures")
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if not photometric.startswith(("MONOCHROME", "RGB", "YBR_")):
        raise UnreadableFrame("unsupported DICOM pixels")
    frames = int(dataset.get("NumberOfFrames") or 1)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    bits = int(dataset.get("BitsAllocated") or 8)
    frame_bytes = int(dataset.Rows) * int(dataset.Columns) * samples * bits // 8
    check_size(frames, frame_bytes)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not _can_decode(syntax):
        raise UnreadableFrame("DICOM compression that cannot be decoded")
    # Chroma subsampling stores less than it unpacks to, but never less than half.
    stored = frames * frame_bytes // (2 if "_42" in photometric else 1)
    if not syntax.is_compressed and stored > path.stat().st_size:
        raise UnreadableFrame("damaged DICOM")
    return frames


def _can_decode(syntax: UID) -> bool:
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _display(stored: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """Stored values, 8 or 16 bits, F×H×W, to uint8 as on the display."""
    low, high = int(stored.min()), int(stored.max())
    # Every stored value that can occur, so that the pipeline runs once and not once a pixel.
    values = np.arange(low, high + 1, dtype=np.int32)
    if str(dataset.get("PixelIntensityRelationship", "")).upper() not in {"LOG", "DISP"}:
        values = apply_modality_lut(values, dataset)
    window = _window(dataset)
    if window is not None:
        share = _windowed(values.astype(np.float64), *window)
    elif dataset.get("VOILUTSequence"):
        depth = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        share = apply_voi(np.rint(values).astype(np.int32), dataset) / (2**depth - 1)
    elif int(dataset.get("BitsStored") or 16) <= 8 and values.min() >= 0 and values.max() <= 255:
        share = values / 255
    else:
        share = _stretched(values.astype(np.float64), stored, low)
    if not np.isfinite(share).all():
        raise UnreadableFrame("damaged DICOM")
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        share = 1 - share
    table = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    video = np.empty(stored.shape, np.uint8)
    for frame, grey in zip(stored, video):
        grey[:] = table[frame.astype(np.int32) - low]
    return video


def _window(dataset: pydicom.Dataset) -> tuple[float, float, str] | None:
    """Centre, width and function of the first window; None where there is none that is one."""
    first = []
    for name in ("WindowCenter", "WindowWidth"):
        value = dataset.get(name)
        if isinstance(value, pydicom.multival.MultiValue):
            value = value[0] if len(value) else None
        if value is None or value == "":
            return None
        first.append(float(value))
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    centre, width = first
    return (centre, width, function) if width > (1 if function == "LINEAR" else 0) else None


def _windowed(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Shares of white by the formulas of PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    return (values - (centre - 0.5)) / (width - 1) + 0.5


def _stretched(values: np.ndarray, stored: np.ndarray, low: int) -> np.ndarray:
    """Shares of white between two percentiles of all pixels; `values` by stored value - `low`."""
    counts = np.zeros(len(values), np.int64)
    for frame in stored:
        counts += np.bincount(frame.ravel().astype(np.int32) - low, minlength=len(values))
    order = np.argsort(values, kind="stable")
    covered = np.cumsum(counts[order]) / stored.size * 100
    black, white = (
        values[order[min(np.searchsorted(covered, p), len(order) - 1)]] for p in _PERCENTILES
    )
    return (values - black) / (white - black) if white > black else np.zeros_like(values)
