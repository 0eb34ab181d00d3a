"""XCAV (called XACV by its authors) with synthetic frames."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.dataset import RawDataset, truncate

PATIENTS = (1001, 1002, 1013, 1253, 12530)
VIDEOS = ("LAO0_CAU29", "RAO30_CRA1")
ANNOTATED = (4, 5)


def write_xcav(raw: RawDataset) -> None:
    """Five patients with two videos of five frames, two of them annotated.

    Every patient has the same number of frames, so that the test fraction is always one patient.
    """
    for index, number in enumerate(PATIENTS):
        images, truth = (f"XACV/CVAI-{number}/{kind}" for kind in ("images", "ground_truth"))
        for video, suffix in enumerate(VIDEOS):
            name = f"CVAI-{number}{suffix}"
            for frame in range(2, 7):
                drawn = raw.draw(index, video, frame)
                raw.save(f"{images}/{name}/{frame:05d}.png", drawn.image)
                if frame in ANNOTATED:
                    mask = np.uint8(255) * drawn.vessel
                    raw.save(f"{truth}/{name}/{frame:05d}.png", mask)
                    # The catheter's masks have a third value.
                    catheter = np.where(drawn.vessel, mask, np.roll(mask, 5, 0) // 255 * 127)
                    raw.save(f"{truth}/{name}CATH/{frame:05d}.png", catheter)
    usable = len(VIDEOS) * len(ANNOTATED)
    if raw.defects:
        usable -= 1
        _add_defects(raw)
    raw.frames.update(train=usable * (len(PATIENTS) - 1), test=usable)


def _add_defects(raw: RawDataset) -> None:
    for number in PATIENTS:
        video = f"XACV/CVAI-{number}/images/CVAI-{number}{VIDEOS[0]}"
        truncate(raw.root / video / f"{ANNOTATED[0]:05d}.png")
        raw.skipped["damaged image"] += 1

    drawn = raw.draw(0, 1, ANNOTATED[1])
    half = np.uint8(255) * drawn.vessel[::2, ::2]
    truth, first, second = "CVAI-1001/ground_truth", *(f"CVAI-1001{video}" for video in VIDEOS)
    for path, reason in (
        (f"{truth}/{second}/{ANNOTATED[1]:05d}.png", "mask size differs, resized"),
        (f"{truth}/{second}/00077.png", "mask without an image"),
        (f"{truth}/{second}/overlay.png", "file name is not a frame number"),
        (f"{truth}/CVAI-1001RAO90_CAU3CATH/00004.png", "catheter masks without vessel masks"),
        # Patient 1253 is not patient 12530.
        (
            "CVAI-1253/ground_truth/CVAI-12530LAO1_CRA2/00004.png",
            "video does not fit its patient",
        ),
    ):
        raw.save(f"XACV/{path}", half, skipped=reason)
    alone = "XACV/CVAI-2000/images/CVAI-2000LAO0_CAU29/00000.png"
    raw.save(alone, drawn.image, skipped="patient without ground truth")
    raw.write("XACV/notes/readme.txt", "not a patient", skipped="folder is not a patient")
    raw.write(f"XACV/{truth}/{first}/.gitkeep", b"")
    raw.clutter("XACV")
    raw.clutter(f"XACV/{truth}/{first}")
