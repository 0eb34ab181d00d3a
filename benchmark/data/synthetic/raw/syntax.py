"""SYNTAX as a plain tree of images; the original layout is not documented."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.containers import dicom_bytes, npy_bytes
from benchmark.data.synthetic.raw.layout import Canvas, RawLayout, truncate


def write_syntax(canvas: Canvas) -> RawLayout:
    """Three patients with two images each; image V of patient P is ``canvas.draw(P, V)``."""
    layout = canvas.layout
    for patient in (1, 2, 10):
        for view in (0, 1):
            path = f"SYNTAX/images/Patient {patient}/{view}.png"
            canvas.save(path, canvas.draw(patient, view).image)
            layout.frames[None] += 1
    canvas.write("SYNTAX/SYNTAX scores.xlsx", b"PK\3\4")
    if canvas.defects:
        _add_defects(canvas, layout)
    return layout


def _add_defects(canvas: Canvas, layout: RawLayout) -> None:
    canvas.clutter("SYNTAX")
    canvas.clutter("SYNTAX/images/Patient 1")
    pixels = canvas.draw(10, 0).image
    folder = "SYNTAX/images/Patient 10"
    canvas.save(f"{folder}/colour.JPG", pixels, "RGB")
    canvas.save(f"{folder}/deep.tiff", pixels.astype(np.uint16) * 257)
    canvas.write(f"{folder}/picture.npy", npy_bytes(pixels))
    canvas.write(f"{folder}/picture.dcm", dicom_bytes(pixels, PatientID="10"))
    layout.frames[None] += 4
    truncate(canvas.save(f"{folder}/cut.png", pixels, skipped="damaged image"))
    canvas.write(f"{folder}/empty.bmp", b"", skipped="empty file")
    canvas.write(f"{folder}/text.jpeg", "<html>not found</html>", skipped="not an image")
    canvas.save(f"{folder}/white.png", np.full_like(pixels, 255), skipped="constant image")
