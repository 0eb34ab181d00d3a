"""Multi-frame files as bytes: npz and npy arrays, DICOM."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np


def npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz_bytes(compressed: bool = True, **arrays: Any) -> bytes:
    """An npz; object arrays are pickled, as in the real downloads."""
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def forged_npz(claimed: tuple[int, ...], content: bytes) -> bytes:
    """An npz whose header claims uint8 of shape `claimed` but that holds `content`."""
    header = io.BytesIO()
    facts = {"descr": "|u1", "fortran_order": False, "shape": claimed}
    np.lib.format.write_array_header_1_0(header, facts)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pixel_array.npy", header.getvalue() + content)
    return stream.getvalue()


def dicom_bytes(pixels: np.ndarray, *, syntax: str | None = None, **elements: Any) -> bytes:
    """An XA DICOM file of stored values, uint8 or uint16, F×H×W or H×W; MONOCHROME2.

    Args:
        pixels: stored values; H×W is written without NumberOfFrames.
        syntax: transfer syntax to claim; the pixels stay as they are, little-endian.
        elements: further data elements by keyword, or values replacing the defaults.
    """
    # Imported here: pydicom is slow to load, and most layouts have no DICOM in them.
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset, write_file_meta_info
    from pydicom.uid import ExplicitVRLittleEndian, XRayAngiographicImageStorage, generate_uid

    dataset = Dataset()
    dataset.SOPClassUID = XRayAngiographicImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[pixels.tobytes().hex()])
    dataset.Modality = "XA"
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.SamplesPerPixel = 1
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax or ExplicitVRLittleEndian
    # Written piece by piece: `save_as` refuses what it would have to compress.
    stream = DicomBytesIO(b"\0" * 128 + b"DICM")
    stream.seek(0, io.SEEK_END)
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_file_meta_info(stream, meta)
    write_dataset(stream, dataset)
    return stream.getvalue()
