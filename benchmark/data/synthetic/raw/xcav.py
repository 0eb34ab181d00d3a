"""XCAV (called XACV by its authors) with synthetic frames."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.layout import Canvas, RawLayout, truncate

PATIENTS = (1001, 1002, 1013, 1253, 12530)
VIDEOS = ("LAO0_CAU29", "RAO30_CRA1")
ANNOTATED = (4, 5)
_FRAMES = range(2, 7)


def write_xcav(canvas: Canvas) -> RawLayout:
    """Five patients with two videos of five frames, two of them annotated.

    Every patient has the same number of frames, so that the test fraction is always one patient.
    """
    layout = canvas.layout
    for index, number in enumerate(PATIENTS):
        patient = f"XACV/CVAI-{number}"
        for video, suffix in enumerate(VIDEOS):
            name = f"CVAI-{number}{suffix}"
            for frame in _FRAMES:
                drawn = canvas.draw(index, video, frame)
                file = f"{name}/{frame:05d}.png"
                canvas.save(f"{patient}/images/{file}", drawn.image)
                if frame in ANNOTATED:
                    truth = drawn.vessel.astype(np.uint8) * 255
                    canvas.save(f"{patient}/ground_truth/{file}", truth)
                    # The catheter's masks have a third value.
                    catheter = np.roll(truth, 5, 0) // 255 * np.uint8(127)
                    canvas.save(
                        f"{patient}/ground_truth/{name}CATH/{frame:05d}.png",
                        np.where(truth > 0, np.uint8(255), catheter),
                    )
    usable = len(VIDEOS) * len(ANNOTATED)
    if canvas.defects:
        usable -= 1
        _add_defects(canvas, layout)
    layout.frames.update(train=usable * (len(PATIENTS) - 1), test=usable)
    return layout


def _add_defects(canvas: Canvas, layout: RawLayout) -> None:
    top = canvas.root / "XACV"
    for number in PATIENTS:
        name = f"CVAI-{number}{VIDEOS[0]}/{ANNOTATED[0]:05d}.png"
        truncate(top / f"CVAI-{number}" / "images" / name)
    layout.skipped["damaged image"] += len(PATIENTS)

    first, truth = "CVAI-1001", "XACV/CVAI-1001/ground_truth"
    drawn = canvas.draw(0, 1, ANNOTATED[1])
    half = drawn.vessel[::2, ::2].astype(np.uint8) * 255
    canvas.save(
        f"{truth}/{first}{VIDEOS[1]}/{ANNOTATED[1]:05d}.png",
        half,
        skipped="mask size differs, resized",
    )
    canvas.save(f"{truth}/{first}{VIDEOS[1]}/00077.png", half, skipped="mask without an image")
    canvas.save(
        f"{truth}/{first}{VIDEOS[1]}/overlay.png", half, skipped="file name is not a frame number"
    )
    canvas.save(
        f"{truth}/{first}RAO90_CAU3CATH/00004.png",
        half,
        skipped="catheter masks without vessel masks",
    )
    # Patient 1253 is not patient 12530.
    canvas.save(
        "XACV/CVAI-1253/ground_truth/CVAI-12530LAO1_CRA2/00004.png",
        half,
        skipped="video does not fit its patient",
    )
    canvas.save(
        "XACV/CVAI-2000/images/CVAI-2000LAO0_CAU29/00000.png",
        drawn.image,
        skipped="patient without ground truth",
    )
    canvas.write("XACV/notes/readme.txt", "not a patient", skipped="folder is not a patient")
    canvas.write(f"{truth}/{first}{VIDEOS[0]}/.gitkeep", b"")
    canvas.clutter("XACV")
    canvas.clutter(f"{truth}/{first}{VIDEOS[0]}")
