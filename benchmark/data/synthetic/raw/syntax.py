"""SYNTAX as a plain tree of images; the original layout is not documented."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.containers import dicom_bytes, npy_bytes
from benchmark.data.synthetic.raw.dataset import RawDataset, truncate


def write_syntax(raw: RawDataset) -> None:
    """Three patients with two images each; image V of patient P is ``raw.draw(P, V)``."""
    for patient in (1, 2, 10):
        for view in (0, 1):
            path = f"SYNTAX/images/Patient {patient}/{view}.png"
            raw.save(path, raw.draw(patient, view).image)
            raw.frames[None] += 1
    raw.write("SYNTAX/SYNTAX scores.xlsx", b"PK\3\4")
    if not raw.defects:
        return
    raw.clutter("SYNTAX")
    raw.clutter("SYNTAX/images/Patient 1")
    pixels = raw.draw(10, 0).image
    folder = "SYNTAX/images/Patient 10"
    raw.save(f"{folder}/colour.JPG", pixels, "RGB")
    raw.save(f"{folder}/deep.tiff", pixels.astype(np.uint16) * 257)
    raw.write(f"{folder}/picture.npy", npy_bytes(pixels))
    raw.write(f"{folder}/picture.dcm", dicom_bytes(pixels, PatientID="10"))
    raw.frames[None] += 4
    truncate(raw.save(f"{folder}/cut.png", pixels, skipped="damaged image"))
    raw.write(f"{folder}/empty.bmp", b"", skipped="empty file")
    raw.write(f"{folder}/text.jpeg", "<html>not found</html>", skipped="not an image")
    raw.save(f"{folder}/white.png", np.full_like(pixels, 255), skipped="constant image")
