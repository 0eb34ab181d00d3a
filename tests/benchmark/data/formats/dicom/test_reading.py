"""XA DICOM: headers, colour, and damage."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedXAImageStorage,
    ExplicitVRLittleEndian,
)

from benchmark.data.formats import video
from benchmark.data.formats.dicom.reading import decode_dicom, read_dicom_header
from benchmark.data.frame import UnreadableFrame
from benchmark.data.synthetic.raw.containers import dicom_bytes

GRAY = np.random.default_rng(0).integers(0, 256, (3, 12, 10)).astype(np.uint8)


def test_colour_becomes_luma(tmp_path):
    colour = np.zeros((2, 8, 8, 3), np.uint8)
    colour[0, ..., 0], colour[1, ..., 1] = 255, 255
    elements = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "Rows": 8, "Columns": 8}
    content = dicom_bytes(colour.reshape(2, 8, 24), **elements, PhotometricInterpretation="RGB")
    (tmp_path / "a.dcm").write_bytes(content)
    decoded = decode_dicom(tmp_path / "a.dcm").frames
    assert [np.unique(frame).tolist() for frame in decoded] == [[76], [150]]


def test_header_has_frames_and_a_hashed_patient(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(dicom_bytes(GRAY, PatientID="12345", PatientName="Doe^Jane"))
    header = read_dicom_header(path)
    assert header.frames == 3
    assert header.patient == hashlib.sha256(b"12345").hexdigest()[:12]
    path.write_bytes(dicom_bytes(GRAY[0], PatientID=" "))
    assert (read_dicom_header(path).frames, read_dicom_header(path).patient) == (1, None)
    enhanced = dicom_bytes(GRAY, Modality="", SOPClassUID=EnhancedXAImageStorage)
    path.write_bytes(enhanced)
    assert read_dicom_header(path).frames == 3


def _changed(without: str | None = None, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A file rewritten by pydicom, without an element or with another transfer syntax."""
    dataset = pydicom.dcmread(io.BytesIO(dicom_bytes(GRAY)))
    dataset.file_meta.TransferSyntaxUID = syntax
    if without is not None:
        del dataset[without]
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


REFUSED = {
    "empty file": [b""],
    "not a DICOM file": [b"\0" * 128 + b"DIC"],
    "damaged DICOM": [
        *(b"\0" * 128 + b"DICM", dicom_bytes(GRAY)[:250], dicom_bytes(GRAY, NumberOfFrames=500)),
    ],
    "DICOM modality is not XA": [dicom_bytes(GRAY, Modality="CT", SOPClassUID="1.2")],
    "DICOM without pixel data": [_changed(without="Rows"), dicom_bytes(GRAY, Columns=0)],
    "too many frames in one file": [dicom_bytes(GRAY, NumberOfFrames=10_001)],
    "video without frames": [dicom_bytes(GRAY, NumberOfFrames=-1)],
    "video too large": [dicom_bytes(GRAY, NumberOfFrames=9000, Rows=60_000)],
    "unsupported DICOM pixels": [dicom_bytes(GRAY, PhotometricInterpretation="PALETTE COLOR")],
    "cannot be decoded": [
        dicom_bytes(GRAY, syntax="1.2.840.10008.1.2.4.102"),
        dicom_bytes(GRAY, syntax="1.2.3.4"),
        _changed(syntax=DeflatedExplicitVRLittleEndian),
    ],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_unusable_files_are_refused_by_their_header(tmp_path, reason):
    for content in REFUSED[reason]:
        (tmp_path / "a.dcm").write_bytes(content)
        for read in (read_dicom_header, decode_dicom):
            with pytest.raises(UnreadableFrame, match=reason):
                read(tmp_path / "a.dcm")
    with pytest.raises(UnreadableFrame, match="file missing"):
        read_dicom_header(tmp_path / "absent.dcm")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_changed(without="PixelData"), "DICOM without pixel data"),
        (dicom_bytes(GRAY, NumberOfFrames=4), "damaged DICOM"),
        (dicom_bytes(GRAY.astype(np.uint32), Rows=12), "unsupported DICOM pixels"),
        (dicom_bytes(GRAY, WindowCenter="1e400", WindowWidth=10), "damaged DICOM"),
        (dicom_bytes(GRAY, syntax="1.2.840.10008.1.2.5"), "damaged DICOM"),
    ],
)
def test_unusable_pixels_are_refused_when_decoded(tmp_path, content, reason):
    (tmp_path / "a.dcm").write_bytes(content)
    read_dicom_header(tmp_path / "a.dcm")
    with pytest.raises(UnreadableFrame, match=reason):
        decode_dicom(tmp_path / "a.dcm")


def test_large_files_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(GRAY))
    monkeypatch.setattr(video, "MAX_VIDEO_BYTES", GRAY.nbytes - 1)
    with pytest.raises(UnreadableFrame, match="video too large"):
        read_dicom_header(tmp_path / "a.dcm")


def test_random_damage(tmp_path):
    random = np.random.default_rng(1)
    path = tmp_path / "a.dcm"
    intact = dicom_bytes(
        GRAY, PatientID="x", WindowCenter=2000, WindowWidth=1000, RescaleSlope=1, RescaleIntercept=0
    )
    reasons = set()
    for trial in range(150):
        content = bytearray(intact)
        for place in random.integers(132, len(intact) - GRAY.nbytes, 3):
            content[place] = random.integers(256)
        path.write_bytes(content[: random.integers(len(content))] if trial % 9 == 0 else content)
        try:
            assert decode_dicom(path).frames.dtype == np.uint8
        except UnreadableFrame as error:
            reasons.add(str(error))
    assert {"damaged DICOM", "DICOM without pixel data"} <= reasons
