"""DCA1 as unpacked: a flat folder of pairs, N.pgm and N_gt.pgm."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.layout import Canvas, RawLayout, truncate

_ROOT = "Database_134_Angiograms"


def write_dca1(canvas: Canvas) -> RawLayout:
    """Eight pairs; pair N is ``canvas.draw(N)``. The first six are ``train``."""
    layout = canvas.layout
    for number in range(1, 9):
        drawn = canvas.draw(number)
        canvas.save(f"{_ROOT}/{number}.pgm", drawn.image)
        canvas.save(f"{_ROOT}/{number}_gt.pgm", np.uint8(255) * drawn.vessel)
    layout.frames.update(train=6, test=2)
    if canvas.defects:
        _add_defects(canvas, layout)
    return layout


def _add_defects(canvas: Canvas, layout: RawLayout) -> None:
    canvas.clutter(_ROOT)
    drawn = canvas.draw(9)
    mask = np.uint8(255) * drawn.vessel
    canvas.save(f"{_ROOT}/9.PGM", drawn.image)
    canvas.save(f"{_ROOT}/9_GT.png", mask, "RGB")
    other = canvas.draw(10)
    canvas.save(f"{_ROOT}/10.png", other.image, "P")
    canvas.save(f"{_ROOT}/10_gt.png", np.uint8(255) * other.vessel)
    # Twelve pairs with the two damaged ones below: nine of them are train.
    layout.frames["train"] += 3
    truncate(canvas.save(f"{_ROOT}/11.pgm", drawn.image, skipped="damaged image"))
    canvas.save(f"{_ROOT}/11_gt.pgm", mask)
    canvas.write(f"{_ROOT}/12.pgm", b"", skipped="empty file")
    canvas.save(f"{_ROOT}/12_gt.pgm", mask)
    layout.frames["test"] -= 1
    canvas.save(f"{_ROOT}/13.pgm", drawn.image, skipped="image without a mask")
    canvas.save(f"{_ROOT}/14_gt.pgm", mask, skipped="mask without an image")
    canvas.save(f"{_ROOT}/8.png", drawn.image, skipped="duplicate name")
