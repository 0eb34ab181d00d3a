"""Paired image and mask folders, as CAXF is read, with synthetic frames."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.layout import Canvas, RawLayout, truncate

PATIENTS_OF_SPLIT = {"train": range(5), "test": range(5, 8)}
"""Split → patients of the population; one frame of each."""


def write_caxf(canvas: Canvas) -> RawLayout:
    """Five training and three test frames; masks in several encodings; a list of patients."""
    layout = canvas.layout
    rows = ["name,patient"]
    for split, patients in PATIENTS_OF_SPLIT.items():
        for patient in patients:
            drawn = canvas.draw(patient)
            name = f"{split}_{patient}"
            canvas.save(f"{split}/images/{name}.png", drawn.image)
            # As 0 and 255, or 0 and 1; and in another file format than the image.
            top = np.uint8(255 if patient % 2 else 1)
            mask = drawn.vessel.astype(np.uint8) * top
            canvas.save(f"{split}/masks/{name}.{'png' if patient % 3 else 'bmp'}", mask)
            rows.append(f"{name},P{patient}")
            layout.frames[split] += 1
    if canvas.defects:
        _add_defects(canvas, layout, rows)
    canvas.write("patients.csv", "\r\n".join([*rows, ""]))
    return layout


def _add_defects(canvas: Canvas, layout: RawLayout, rows: list[str]) -> None:
    drawn = canvas.draw(20)
    mask = drawn.vessel.astype(np.uint8) * 255

    def pair(name: str, truth: np.ndarray = mask) -> None:
        canvas.save(f"train/images/{name}.png", drawn.image)
        canvas.save(f"train/masks/{name}.png", truth)
        rows.append(f"{name}.png,P20")

    pair("cut")
    truncate(canvas.root / "train/images/cut.png")
    layout.skipped["damaged image"] += 1
    pair("cut-mask")
    truncate(canvas.root / "train/masks/cut-mask.png")
    layout.skipped["mask: damaged image"] += 1
    pair("half", mask[::2, ::2])
    layout.skipped["mask and image differ in size"] += 1
    pair("class-38", mask // 255 * np.uint8(38))
    layout.skipped["mask: vessel colour differs from the other masks"] += 1
    pair("two-classes", np.where(drawn.image > drawn.image[drawn.vessel].mean(), mask, mask // 2))
    layout.skipped["mask: more than two colours or levels, one of which may not be vessel"] += 1
    pair("flat")
    canvas.save("train/images/flat.png", np.full_like(drawn.image, 77), skipped="constant image")
    canvas.save("test/images/alone.png", drawn.image, skipped="image without a mask")
    canvas.save("test/masks/orphan.png", mask, skipped="mask without an image")
    canvas.save("train/images/train_1.TIF", drawn.image, skipped="duplicate name")
    canvas.save("test/images/unknown.png", drawn.image, skipped="image without a patient")
    canvas.save("test/masks/unknown.png", mask)
    layout.frames["test"] += 1
    canvas.save("test/images/again.png", drawn.image, skipped="patient in two splits")
    canvas.save("test/masks/again.png", mask)
    layout.frames["test"] += 1
    rows += ["again,P20", "absent,P30", "short", "../train_1,P31", "train_1,P99"]
    layout.skipped["listed name without an image"] += 1
    layout.skipped["damaged row"] += 2
    layout.skipped["name with two patients"] += 1
    canvas.clutter("train/images")
    canvas.clutter()
