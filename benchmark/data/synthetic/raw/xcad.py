"""XCAD as unpacked, with an extra folder level: train/trainB and test/{images,masks}."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_dilation

from benchmark.data.synthetic.raw.layout import Canvas, RawLayout, truncate

_ROOT = "XCAD/XCAD"


def write_xcad(canvas: Canvas) -> RawLayout:
    """Training image N is ``canvas.draw(N)``; the test images are ``canvas.draw(20, f)``."""
    layout = canvas.layout
    for number in range(1, 6):
        canvas.save(f"{_ROOT}/train/trainB/{number}.png", canvas.draw(number).image)
    layout.frames["train"] += 5
    for name, video in (("00018_33", 0), ("00018_40", 1), ("12241_33", 2)):
        drawn = canvas.draw(20, video)
        canvas.save(f"{_ROOT}/test/images/{name}.png", drawn.image)
        canvas.save(f"{_ROOT}/test/masks/{name}.png", drawn.vessel.astype(np.uint8))
    layout.frames["test"] += 3
    # Neither is an image to train on: masks of drawn fractals, and background without contrast.
    for other in ("trainA", "trainC"):
        canvas.save(f"{_ROOT}/train/{other}/1.png", canvas.draw(7).image)
    if canvas.defects:
        _add_defects(canvas, layout)
    return layout


def _add_defects(canvas: Canvas, layout: RawLayout) -> None:
    train, test = f"{_ROOT}/train/trainB", f"{_ROOT}/test"
    canvas.clutter(train)
    canvas.clutter(f"{test}/masks")
    drawn = canvas.draw(6)
    canvas.save(f"{train}/6.PNG", drawn.image)
    canvas.save(f"{train}/7.png", drawn.image, "RGB")
    canvas.save(f"{train}/8.png", drawn.image, "P")
    layout.frames["train"] += 3
    truncate(canvas.save(f"{train}/9.png", drawn.image, skipped="damaged image"))
    canvas.write(f"{train}/10.png", b"", skipped="empty file")
    canvas.save(f"{train}/11.png", np.full_like(drawn.image, 9), skipped="constant image")

    # Only the inner half of a soft edge is vessel.
    edge = np.uint8(60) * binary_dilation(drawn.vessel)
    soft = np.where(drawn.vessel, np.uint8(255), edge)
    canvas.save(f"{test}/images/00031_5.png", drawn.image)
    canvas.save(f"{test}/masks/00031_5.PNG", soft)
    canvas.save(f"{test}/images/extra.png", drawn.image)
    canvas.save(f"{test}/masks/extra.png", soft)
    layout.frames["test"] += 2
    canvas.save(f"{test}/images/00031_6.png", drawn.image, skipped="image without a mask")
    canvas.save(f"{test}/masks/00031_7.png", soft, skipped="mask without an image")
