"""Datasets of images and vessel masks, CAXF, DCA1 and XCAD, with synthetic frames."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation

from benchmark.data.synthetic.raw.dataset import RawDataset, truncate

PATIENTS_OF_SPLIT = {"train": range(5), "test": range(5, 8)}
"""CAXF: split → patients of the population; one frame of each."""


def write_caxf(raw: RawDataset) -> None:
    """Paired folders, five training and three test frames, masks in several encodings, and a list
    of patients."""
    rows = ["name,patient"]
    for split, patients in PATIENTS_OF_SPLIT.items():
        for patient in patients:
            drawn = raw.draw(patient)
            name = f"{split}_{patient}"
            raw.save(f"{split}/images/{name}.png", drawn.image)
            # As 0 and 255, or 0 and 1; and in another file format than the image.
            mask = drawn.vessel * np.uint8(255 if patient % 2 else 1)
            raw.save(f"{split}/masks/{name}.{'png' if patient % 3 else 'bmp'}", mask)
            rows.append(f"{name},P{patient}")
            raw.frames[split] += 1
    if raw.defects:
        rows += _caxf_defects(raw)
    raw.write("patients.csv", "\r\n".join([*rows, ""]))


def _caxf_defects(raw: RawDataset) -> list[str]:
    """Write the defects; returns further rows of the list of patients."""
    drawn = raw.draw(20)
    mask = drawn.vessel * np.uint8(255)
    classes = np.where(drawn.image > drawn.image[drawn.vessel].mean(), mask, mask // 2)
    rows = []
    for name, truth, reason in (
        ("cut", mask, "damaged image"),
        ("cut-mask", mask, "mask: damaged image"),
        ("half", mask[::2, ::2], "mask and image differ in size"),
        (
            "class-38",
            drawn.vessel * np.uint8(38),
            "mask: vessel colour differs from the other masks",
        ),
        (
            "two-classes",
            classes,
            "mask: more than two colours or levels, one of which may not be vessel",
        ),
        ("flat", mask, "constant image"),
    ):
        raw.save(f"train/images/{name}.png", drawn.image)
        raw.save(f"train/masks/{name}.png", truth, skipped=reason)
        rows.append(f"{name}.png,P20")
    truncate(raw.root / "train/images/cut.png")
    truncate(raw.root / "train/masks/cut-mask.png")
    raw.save("train/images/flat.png", np.full_like(drawn.image, 77))
    raw.save("test/images/alone.png", drawn.image, skipped="image without a mask")
    raw.save("test/masks/orphan.png", mask, skipped="mask without an image")
    raw.save("train/images/train_1.TIF", drawn.image, skipped="duplicate name")
    for name, reason in (
        ("unknown", "image without a patient"),
        ("again", "patient in two splits"),
    ):
        raw.save(f"test/images/{name}.png", drawn.image, skipped=reason)
        raw.save(f"test/masks/{name}.png", mask)
        raw.frames["test"] += 1
    raw.skipped["listed name without an image"] += 1
    raw.skipped["damaged row"] += 2
    raw.skipped["name with two patients"] += 1
    raw.clutter("train/images")
    raw.clutter()
    return [*rows, "again,P20", "absent,P30", "short", "../train_1,P31", "train_1,P99"]


def write_dca1(raw: RawDataset) -> None:
    """A flat folder of eight pairs; pair N is ``raw.draw(N)``. The first six are ``train``."""
    top = "Database_134_Angiograms"
    for number in range(1, 9):
        drawn = raw.draw(number)
        raw.save(f"{top}/{number}.pgm", drawn.image)
        raw.save(f"{top}/{number}_gt.pgm", np.uint8(255) * drawn.vessel)
    raw.frames.update(train=6, test=2)
    if not raw.defects:
        return
    raw.clutter(top)
    drawn, other = raw.draw(9), raw.draw(10)
    mask = np.uint8(255) * drawn.vessel
    raw.save(f"{top}/9.PGM", drawn.image)
    raw.save(f"{top}/9_GT.png", mask, "RGB")
    raw.save(f"{top}/10.png", other.image, "P")
    raw.save(f"{top}/10_gt.png", np.uint8(255) * other.vessel)
    truncate(raw.save(f"{top}/11.pgm", drawn.image, skipped="damaged image"))
    raw.save(f"{top}/11_gt.pgm", mask)
    raw.write(f"{top}/12.pgm", b"", skipped="empty file")
    raw.save(f"{top}/12_gt.pgm", mask)
    # Nine of the twelve pairs are train, and the two damaged ones are test.
    raw.frames.update(train=3, test=-1)
    raw.save(f"{top}/13.pgm", drawn.image, skipped="image without a mask")
    raw.save(f"{top}/14_gt.pgm", mask, skipped="mask without an image")
    raw.save(f"{top}/8.png", drawn.image, skipped="duplicate name")


def write_xcad(raw: RawDataset) -> None:
    """Training image N is ``raw.draw(N)``; the test images are ``raw.draw(20, f)``."""
    train, test = "XCAD/XCAD/train", "XCAD/XCAD/test"
    for number in range(1, 6):
        raw.save(f"{train}/trainB/{number}.png", raw.draw(number).image)
    for name, video in (("00018_33", 0), ("00018_40", 1), ("12241_33", 2)):
        drawn = raw.draw(20, video)
        raw.save(f"{test}/images/{name}.png", drawn.image)
        raw.save(f"{test}/masks/{name}.png", drawn.vessel.astype(np.uint8))
    raw.frames.update(train=5, test=3)
    # Neither is an image to train on: masks of drawn fractals, and background without contrast.
    for other in ("trainA", "trainC"):
        raw.save(f"{train}/{other}/1.png", raw.draw(7).image)
    if not raw.defects:
        return
    raw.clutter(f"{train}/trainB")
    raw.clutter(f"{test}/masks")
    drawn = raw.draw(6)
    raw.save(f"{train}/trainB/6.PNG", drawn.image)
    raw.save(f"{train}/trainB/7.png", drawn.image, "RGB")
    raw.save(f"{train}/trainB/8.png", drawn.image, "P")
    truncate(raw.save(f"{train}/trainB/9.png", drawn.image, skipped="damaged image"))
    raw.write(f"{train}/trainB/10.png", b"", skipped="empty file")
    raw.save(f"{train}/trainB/11.png", np.full_like(drawn.image, 9), skipped="constant image")
    # Only the inner half of a soft edge is vessel.
    edge = np.uint8(60) * binary_dilation(drawn.vessel)
    soft = np.where(drawn.vessel, np.uint8(255), edge)
    raw.save(f"{test}/images/00031_5.png", drawn.image)
    raw.save(f"{test}/masks/00031_5.PNG", soft)
    raw.save(f"{test}/images/extra.png", drawn.image)
    raw.save(f"{test}/masks/extra.png", soft)
    raw.frames.update(train=3, test=2)
    raw.save(f"{test}/images/00031_6.png", drawn.image, skipped="image without a mask")
    raw.save(f"{test}/masks/00031_7.png", soft, skipped="mask without an image")
