"""A folder as exported by a hospital: DICOM files, images and arrays mixed, by patient."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.containers import dicom_bytes, forged_npz, npy_bytes, npz_bytes
from benchmark.data.synthetic.raw.dataset import RawDataset, truncate

MPEG4 = "1.2.840.10008.1.2.4.102"
_UNDECODABLE = (
    f"DICOM transfer syntax {MPEG4} (MPEG-4 AVC/H.264 High Profile / Level 4.1) cannot be decoded; "
    "export the file uncompressed"
)


def write_folder(raw: RawDataset) -> None:
    """Two patients; every file of patient P shows ``raw.draw(P, 0, f)``, f = 3 or 4 or both."""
    for patient in (1, 2):
        pixels = np.stack([raw.draw(patient, 0, f).image for f in (3, 4)])
        folder = f"export/patient_{patient}"
        for f, gray in zip((3, 4), pixels):
            raw.save(f"{folder}/single/{f}.png", gray)
        raw.write(f"{folder}/run.npz", npz_bytes(pixel_array=pixels))
        raw.write(f"{folder}/run.npy", npy_bytes(pixels))
        raw.write(f"{folder}/run.dcm", dicom_bytes(pixels, PatientID=f"ID-{patient}"))
        raw.frames[None] += 8
    raw.write("export/README.txt", "exported")
    raw.write("export/scores.csv", "patient,score\n1,12\n")
    if raw.defects:
        _add_defects(raw)


def _add_defects(raw: RawDataset) -> None:
    raw.clutter("export")
    raw.write("export/LICENSE", "not an image, although without an extension")
    pixels = np.stack([raw.draw(1, 0, f).image for f in (3, 4)])
    folder = "export/patient_1/other"

    # The same frames again: inverted, 12 bits in a window, without an extension, 16 bits.
    inverted = dicom_bytes(255 - pixels, PhotometricInterpretation="MONOCHROME1")
    raw.write(f"{folder}/inverted.IMA", inverted)
    window = {"WindowCenter": [1148, 50], "WindowWidth": [256, 10], "BitsStored": 12, "HighBit": 11}
    deep = pixels.astype(np.uint16) + 1020
    raw.write(f"{folder}/IM0001", dicom_bytes(deep, **window))
    raw.write(f"{folder}/1.2.840.113619", dicom_bytes(pixels))
    raw.frames[None] += 6
    raw.save(f"{folder}/DEEP.TIF", pixels[1].astype(np.uint16) * 257)
    raw.save(f"{folder}/colour.bmp", pixels[1], "RGB")
    raw.save(f"{folder}/palette.png", pixels[1], "P")
    raw.frames[None] += 3

    for name, content, reason in (
        (
            "ct.dcm",
            dicom_bytes(pixels, Modality="CT", SOPClassUID="1.2"),
            "DICOM modality is not XA",
        ),
        ("film.dcm", dicom_bytes(pixels, syntax=MPEG4), _UNDECODABLE),
        ("lie.dcm", dicom_bytes(pixels, NumberOfFrames=900), "damaged DICOM"),
        ("endless.dcm", dicom_bytes(pixels, NumberOfFrames=10**8), "too many frames in one file"),
        ("huge.dcm", dicom_bytes(pixels, Rows=65535, Columns=65535), "video too large"),
        ("text.dcm", b"no DICOM", "not a DICOM file"),
        ("empty.dcm", b"", "empty file"),
        ("lie.npz", forged_npz((3, 40, 40), b"\1" * 40), "array size does not match the file"),
        ("objects.npy", npy_bytes(np.array([{}], dtype=object)), "object array"),
    ):
        raw.write(f"{folder}/{name}", content, skipped=reason)
    truncate(raw.write(f"{folder}/cut.dcm", dicom_bytes(pixels), skipped="damaged DICOM"))
    truncate(raw.save(f"{folder}/cut.jpg", pixels[0], skipped="damaged image"), 0.7)
    raw.save(f"{folder}/black.png", np.zeros_like(pixels[0]), skipped="constant image")
    # Usable, but of an unknown patient: it lies outside the patient folders.
    raw.save("export/loose.png", raw.draw(3).image)
    raw.frames[None] += 1
    raw.skipped["patient unknown"] += 1
