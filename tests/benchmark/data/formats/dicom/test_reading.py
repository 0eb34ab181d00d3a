"""XA DICOM: the grayscale pipeline against hand-worked values and pydicom, and damage."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing
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
RAMP = np.arange(4000, dtype=np.uint16).reshape(2, 40, 50)
WINDOW = {"WindowCenter": 2000, "WindowWidth": 1000}


def _decode(folder: Path, pixels: np.ndarray, **elements: Any) -> np.ndarray:
    path = folder / "a.dcm"
    path.write_bytes(dicom_bytes(pixels, **elements))
    return decode_dicom(path).frames


def test_eight_bits_are_kept_and_monochrome1_is_inverted(tmp_path):
    np.testing.assert_array_equal(_decode(tmp_path, GRAY), GRAY)
    np.testing.assert_array_equal(_decode(tmp_path, GRAY[0]), GRAY[:1])
    inverted = _decode(tmp_path, GRAY, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(inverted, 255 - GRAY)


def test_a_linear_window_follows_the_standard(tmp_path):
    shown = _decode(tmp_path, RAMP, **WINDOW).ravel()
    # Centre 2000 and width 1000: black up to 1500, white from 2499, 255/999 gray levels a step.
    assert shown[[0, 1500, 1502, 2000, 2498, 2499, 3999]].tolist() == [0, 0, 1, 128, 255, 255, 255]
    # The middle lies half a value below the centre.
    assert [int(shown[value]) for value in (1999, 2001)] == [127, 128]
    dataset = Dataset()
    dataset.update(WINDOW | {"BitsStored": 12, "PixelRepresentation": 0})
    dataset.PhotometricInterpretation = "MONOCHROME2"
    independent = apply_windowing(RAMP, dataset) / 4095 * 255
    assert np.abs(shown - independent.ravel()).max() <= 0.5 + 1e-9


def test_other_window_functions(tmp_path):
    exact = _decode(tmp_path, RAMP, **WINDOW, VOILUTFunction="LINEAR_EXACT").ravel()
    # Black at 1500, white at 2500.
    assert exact[[1500, 1750, 2000, 2250, 2500]].tolist() == [0, 64, 128, 191, 255]
    sigmoid = _decode(tmp_path, RAMP, **WINDOW, VOILUTFunction="SIGMOID").ravel()
    assert sigmoid[[0, 1750, 2000, 2250, 3999]].tolist() == [
        *(round(255 / (1 + np.exp(-4 * x))) for x in (-2, -0.25, 0, 0.25)),
        255,
    ]


def test_the_first_window_is_used_and_empty_ones_are_ignored(tmp_path):
    several = {"WindowCenter": [2000, 10], "WindowWidth": [1000, 10]}
    expected = _decode(tmp_path, RAMP, **WINDOW)
    np.testing.assert_array_equal(_decode(tmp_path, RAMP, **several), expected)
    for width in (0, 1, -5, ""):
        shown = _decode(tmp_path, GRAY, WindowCenter=100, WindowWidth=width)
        np.testing.assert_array_equal(shown, GRAY)


def test_rescale_precedes_the_window_unless_pixels_are_log_or_disp(tmp_path):
    rescale = {"RescaleSlope": 2, "RescaleIntercept": -1000}
    shown = _decode(tmp_path, RAMP, **WINDOW, **rescale).ravel()
    # Stored 1250 is 1500, black; stored 1750 is 2500, white.
    assert shown[[1250, 1500, 1749, 1750]].tolist() == [0, 128, 255, 255]
    falling = _decode(tmp_path, RAMP, **WINDOW, RescaleSlope=-1, RescaleIntercept=4000).ravel()
    assert falling[[1500, 2000, 2500]].tolist() == [255, 128, 0]
    for relationship, applied in (("LIN", True), ("LOG", False), ("DISP", False)):
        shown = _decode(
            tmp_path, RAMP, **WINDOW, **rescale, PixelIntensityRelationship=relationship
        )
        assert (shown.ravel()[1750] == 255) == applied


def test_high_bit_depth_without_a_window_is_stretched_over_the_file(tmp_path):
    skewed = (RAMP.astype(np.int64) ** 2 // 4000).astype(np.uint16)
    black, white = np.percentile(skewed, (0.5, 99.5), method="inverted_cdf")
    expected = np.clip((skewed - black) / (white - black), 0, 1) * 255
    shown = _decode(tmp_path, skewed, BitsStored=12, HighBit=11)
    assert np.abs(shown - expected).max() <= 0.5 + 1e-9
    flat = _decode(tmp_path, np.full((1, 8, 8), 3000, np.uint16))
    assert flat.min() == flat.max()


def test_colour_becomes_luma(tmp_path):
    colour = np.zeros((2, 8, 8, 3), np.uint8)
    colour[0, ..., 0], colour[1, ..., 1] = 255, 255
    elements = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "Rows": 8, "Columns": 8}
    content = dicom_bytes(colour.reshape(2, 8, 24), **elements, PhotometricInterpretation="RGB")
    (tmp_path / "a.dcm").write_bytes(content)
    decoded = decode_dicom(tmp_path / "a.dcm").frames
    assert [np.unique(frame).tolist() for frame in decoded] == [[76], [150]]


def test_the_header_has_frames_and_a_hashed_patient(tmp_path):
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
    """A file written anew by pydicom, without an element or with another transfer syntax."""
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


def test_random_damage_never_escapes(tmp_path):
    random = np.random.default_rng(1)
    path = tmp_path / "a.dcm"
    whole = dicom_bytes(GRAY, PatientID="x", **WINDOW, RescaleSlope=1, RescaleIntercept=0)
    reasons = set()
    for trial in range(300):
        content = bytearray(whole)
        for place in random.integers(132, len(whole) - GRAY.nbytes, 3):
            content[place] = random.integers(256)
        path.write_bytes(content[: random.integers(len(content))] if trial % 9 == 0 else content)
        try:
            assert decode_dicom(path).frames.dtype == np.uint8
        except UnreadableFrame as error:
            reasons.add(str(error))
    assert {"damaged DICOM", "DICOM without pixel data"} <= reasons
