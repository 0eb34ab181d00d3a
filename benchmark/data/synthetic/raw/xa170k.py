"""XA-170K as curated by its authors: images, one folder per part, masks beside them."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.dataset import RawDataset, truncate

_ROOT = "XA-170K/dataset"


def write_xa170k(raw: RawDataset) -> None:
    """Two images of each part, and four of CoronaryDominance: ``raw.draw(N)`` in turn from 1.

    Studies, patients and names are as in the originals.
    """
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
        drawn = raw.draw(number)
        raw.save(f"{_ROOT}/{name}.png", drawn.image)
        raw.frames[None] += 1
        folder, _, stem = name.partition("/")
        for masks in (f"{folder}_frangi", f"{folder}/{folder}_filter_92"):
            raw.save(f"{_ROOT}/{masks}/{stem}.png", np.uint8(255) * drawn.vessel)
    if not raw.defects:
        return
    raw.clutter(_ROOT)
    raw.clutter(f"{_ROOT}/cadica")
    pixels = raw.draw(1).image
    cadica, coronary = f"{_ROOT}/cadica/more", f"{_ROOT}/coronarydominance"
    raw.save(f"{cadica}/p2_v1_00010.PNG", pixels, "RGB")
    raw.save(f"{cadica}/p2_v1_00011.png", pixels, "P")
    raw.save(f"{cadica}/unnamed.bmp", pixels)
    raw.frames[None] += 3
    raw.save(f"{cadica}/p2_v1_9.png", pixels, skipped="duplicate frame number in a video")
    truncate(raw.save(f"{cadica}/p2_v1_00012.png", pixels, skipped="damaged image"))
    raw.write(f"{coronary}/Study7_RCA_sequence1_slice4.png", b"", skipped="empty file")
    raw.save(
        f"{coronary}/Study7_RCA_sequence1_slice0.png",
        np.zeros_like(pixels),
        skipped="constant image",
    )
    for slice_number in (2, 3):
        raw.save(f"{coronary}/Study42_LCA_sequence1_slice{slice_number}.png", pixels)
    raw.skipped["study reserved for the denoising set"] += 1
    raw.save(f"{coronary}/0001.png", pixels, skipped="no study in the file name")
