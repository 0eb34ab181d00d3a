"""CoronaryDominance as unpacked: videos as npz below study folders."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.containers import forged_npz, npz_bytes
from benchmark.data.synthetic.raw.layout import Canvas, RawLayout, truncate

FRAMES = 4


def run(canvas: Canvas, study: int, series: int) -> np.ndarray:
    """The video of a study: ``canvas.draw(study, series, f)`` for frame f, uint8 4×S×S."""
    return np.stack([canvas.draw(study, series, f, FRAMES).image for f in range(FRAMES)])


def write_coronary_dominance(canvas: Canvas) -> RawLayout:
    """Studies 7, 123 and 1001; series N of a study is ``run(canvas, study, N)``."""
    layout = canvas.layout
    for path, study, series in (
        ("main_normal/Left_Dominance/Study00123_a1f/LCA", 123, 1),
        ("main_normal/Left_Dominance/Study00123_a1f/RCA", 123, 2),
        ("main_others/bad_quality/Right Dominance/Study00007_77c/RCA", 7, 1),
        ("domain_shift_dataset/Right_Dominance/Study01001_0/LCA", 1001, 1),
    ):
        _write(canvas, f"{path}/{series}.npz", run(canvas, study, series))
        layout.frames[None] += FRAMES
    canvas.write("README.md", "CoronaryDominance")
    if canvas.defects:
        _add_defects(canvas, layout)
    return layout


def _write(canvas: Canvas, path: str, pixels: np.ndarray, compressed: bool = True) -> None:
    # Members beside the pixels: some plain, some pickled.
    tags = {
        "seriesid": np.array({"uid": path}, dtype=object),
        "primary_angle": np.float64(-30.5),
        "is_occlusion": np.array(None),
        "artery_type": np.array("LCA"),
    }
    canvas.write(path, npz_bytes(compressed, pixel_array=pixels, **tags))


def _add_defects(canvas: Canvas, layout: RawLayout) -> None:
    canvas.clutter("main_normal")
    canvas.write("main_normal.7z", b"7z\xbc\xaf\x27\x1c")
    good = run(canvas, 123, 1)
    study = "real_distribution/Right_Dominance/Study00200_x"

    # Other types and shapes of the same intensities.
    _write(canvas, f"{study}/LCA/10.npz", good.astype(np.int16), compressed=False)
    _write(canvas, f"{study}/LCA/11.NPZ", np.asfortranarray(good).astype(">u2"))
    _write(canvas, f"{study}/LCA/12.npz", good.astype(np.float32) + 0.25)
    _write(canvas, f"{study}/LCA/13.npz", good.astype(np.int16) - 40)
    layout.frames[None] += 4 * FRAMES
    _write(canvas, f"{study}/LCA/14.npz", good[0])
    layout.frames[None] += 1
    # 12-bit values, the frames of one video scaled alike.
    _write(canvas, f"{study}/LCA/15.npz", good.astype(np.uint16) * 16)
    layout.frames[None] += FRAMES
    # Videos may start before the X-ray.
    _write(canvas, f"{study}/LCA/16.npz", np.concatenate([np.zeros_like(good[:1]), good]))
    layout.frames[None] += FRAMES
    layout.skipped["constant image"] += 1

    for series, content, reason in (
        (20, npz_bytes(pixel_array=np.array([good], dtype=object)), "object array"),
        (21, npz_bytes(seriesid=np.array("21"), pixels=good), "npz without pixel_array"),
        (22, npz_bytes(pixel_array=good.astype(np.complex64)), "unsupported array type"),
        (23, npz_bytes(pixel_array=good[0, 0]), "array is not frames×height×width"),
        (24, npz_bytes(pixel_array=good[:0]), "video without frames"),
        (25, b"", "empty file"),
        (27, forged_npz((4, 512, 512), b"\7" * 1000), "array size does not match the file"),
        (28, forged_npz((9000, 512, 512), b"\7" * 1000), "video too large"),
        (29, forged_npz((10**9, 1, 1), b"\7" * 1000), "too many frames in one file"),
    ):
        canvas.write(f"{study}/RCA/{series}.npz", content, skipped=reason)
    cut = canvas.write(
        f"{study}/RCA/26.npz", npz_bytes(pixel_array=good), skipped="not an npz file"
    )
    truncate(cut)
    # A flipped bit: found when the pixels are decompressed, so that each frame is skipped.
    flipped = bytearray(npz_bytes(compressed=False, pixel_array=good))
    flipped[good.nbytes // 2] ^= 1
    canvas.write(f"{study}/RCA/30.npz", bytes(flipped))
    layout.skipped["damaged array file"] += FRAMES

    # A study of the denoising set's train part and one of its test part.
    for number in (17, 42):
        folder = f"main_normal/Right_Dominance/Study{number:05d}_r"
        for artery, series in (("LCA", 1), ("RCA", 2)):
            video = run(canvas, number, series)
            _write(canvas, f"{folder}/{artery}/{series}.npz", video)
        layout.skipped["study reserved for the denoising set"] += 1

    # The same study in another archive, and a file outside an artery folder.
    _write(canvas, "real_distribution/Left_Dominance/Study123_a1f/LCA/1.npz", good)
    layout.skipped["duplicate series"] += 1
    _write(canvas, f"{study}/3.npz", good)
    layout.skipped["file outside the LCA or RCA folder of a study"] += 1
