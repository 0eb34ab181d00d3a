"""XA-170K as curated by its authors: images, one folder per part, masks beside them."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.layout import Canvas, RawLayout, truncate

_ROOT = "XA-170K/dataset"


def write_xa170k(canvas: Canvas) -> RawLayout:
    """Two images of each part, and four of CoronaryDominance: ``canvas.draw(N)`` in turn from 1.

    Studies, patients and names are as in the originals.
    """
    layout = canvas.layout
    names = (
        "cadica/p2_v1_00009",
        "cadica/p14_v3_00010",
        "syntax/Patient1_0",
        "syntax/Patient2_0",
        "xcad/1",
        "xcad/2",
        "coronarydominance/Study00123_LCA_sequence1_slice0",
        "coronarydominance/Study00123_LCA_sequence1_slice10",
        "coronarydominance/Study00123_RCA_sequence2_slice3",
        "coronarydominance/Study7_RCA_sequence1_slice3",
    )
    for number, name in enumerate(names, start=1):
        drawn = canvas.draw(number)
        canvas.save(f"{_ROOT}/{name}.png", drawn.image)
        layout.frames[None] += 1
        folder, _, stem = name.partition("/")
        for masks in (f"{folder}_frangi", f"{folder}/{folder}_filter_92"):
            canvas.save(f"{_ROOT}/{masks}/{stem}.png", np.uint8(255) * drawn.vessel)
    if canvas.defects:
        _add_defects(canvas, layout)
    return layout


def _add_defects(canvas: Canvas, layout: RawLayout) -> None:
    canvas.clutter(_ROOT)
    canvas.clutter(f"{_ROOT}/cadica")
    pixels = canvas.draw(1).image
    cadica, coronary = f"{_ROOT}/cadica/more", f"{_ROOT}/coronarydominance"
    canvas.save(f"{cadica}/p2_v1_00010.PNG", pixels, "RGB")
    canvas.save(f"{cadica}/p2_v1_00011.png", pixels, "P")
    canvas.save(f"{cadica}/unnamed.bmp", pixels)
    layout.frames[None] += 3
    canvas.save(f"{cadica}/p2_v1_9.png", pixels, skipped="duplicate frame number in a video")
    truncate(canvas.save(f"{cadica}/p2_v1_00012.png", pixels, skipped="damaged image"))
    canvas.write(f"{coronary}/Study7_RCA_sequence1_slice4.png", b"", skipped="empty file")
    canvas.save(
        f"{coronary}/Study7_RCA_sequence1_slice0.png",
        np.zeros_like(pixels),
        skipped="constant image",
    )
    for slice_number in (2, 3):
        canvas.save(f"{coronary}/Study42_LCA_sequence1_slice{slice_number}.png", pixels)
    layout.skipped["study reserved for the denoising set"] += 1
    canvas.save(f"{coronary}/0001.png", pixels, skipped="no study in the file name")
