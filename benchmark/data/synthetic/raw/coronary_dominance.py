"""CoronaryDominance as unpacked: videos as npz below study folders."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.containers import forged_npz, npz_bytes
from benchmark.data.synthetic.raw.dataset import RawDataset, truncate

FRAMES = 4


def run(raw: RawDataset, study: int, series: int) -> np.ndarray:
    """The video of a study: ``raw.draw(study, series, f)`` for frame f, uint8 4×S×S."""
    return np.stack([raw.draw(study, series, f, FRAMES).image for f in range(FRAMES)])


def write_coronary_dominance(raw: RawDataset) -> None:
    """Studies 7, 123 and 1001; series N of a study is ``run(raw, study, N)``."""
    for path, study, series in (
        ("main_normal/Left_Dominance/Study00123_a1f/LCA", 123, 1),
        ("main_normal/Left_Dominance/Study00123_a1f/RCA", 123, 2),
        ("main_others/bad_quality/Right Dominance/Study00007_77c/RCA", 7, 1),
        ("domain_shift_dataset/Right_Dominance/Study01001_0/LCA", 1001, 1),
    ):
        _write(raw, f"{path}/{series}.npz", run(raw, study, series))
        raw.frames[None] += FRAMES
    raw.write("README.md", "CoronaryDominance")
    if raw.defects:
        _add_defects(raw)


def _write(raw: RawDataset, path: str, pixels: np.ndarray, compressed: bool = True) -> None:
    # Members beside the pixels: some plain, some pickled.
    tags = {
        "seriesid": np.array({"uid": path}, dtype=object),
        "primary_angle": np.float64(-30.5),
        "is_occlusion": np.array(None),
        "artery_type": np.array("LCA"),
    }
    raw.write(path, npz_bytes(compressed, pixel_array=pixels, **tags))


def _add_defects(raw: RawDataset) -> None:
    raw.clutter("main_normal")
    raw.write("main_normal.7z", b"7z\xbc\xaf\x27\x1c")
    good = run(raw, 123, 1)
    study = "real_distribution/Right_Dominance/Study00200_x"

    # Other types and shapes of the same intensities.
    _write(raw, f"{study}/LCA/10.npz", good.astype(np.int16), compressed=False)
    _write(raw, f"{study}/LCA/11.NPZ", np.asfortranarray(good).astype(">u2"))
    _write(raw, f"{study}/LCA/12.npz", good.astype(np.float32) + 0.25)
    _write(raw, f"{study}/LCA/13.npz", good.astype(np.int16) - 40)
    raw.frames[None] += 4 * FRAMES
    _write(raw, f"{study}/LCA/14.npz", good[0])
    raw.frames[None] += 1
    # 12-bit values, the frames of one video scaled alike.
    _write(raw, f"{study}/LCA/15.npz", good.astype(np.uint16) * 16)
    raw.frames[None] += FRAMES
    # Videos may start before the X-ray.
    _write(raw, f"{study}/LCA/16.npz", np.concatenate([np.zeros_like(good[:1]), good]))
    raw.frames[None] += FRAMES
    raw.skipped["constant image"] += 1

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
        raw.write(f"{study}/RCA/{series}.npz", content, skipped=reason)
    cut = raw.write(f"{study}/RCA/26.npz", npz_bytes(pixel_array=good), skipped="not an npz file")
    truncate(cut)
    # A flipped bit: found when the pixels are decompressed, so that each frame is skipped.
    flipped = bytearray(npz_bytes(compressed=False, pixel_array=good))
    flipped[good.nbytes // 2] ^= 1
    raw.write(f"{study}/RCA/30.npz", bytes(flipped))
    raw.skipped["damaged array file"] += FRAMES

    # A study of the denoising set's train part and one of its test part.
    for number in (17, 42):
        folder = f"main_normal/Right_Dominance/Study{number:05d}_r"
        for artery, series in (("LCA", 1), ("RCA", 2)):
            video = run(raw, number, series)
            _write(raw, f"{folder}/{artery}/{series}.npz", video)
        raw.skipped["study reserved for the denoising set"] += 1

    # The same study in another archive, and a file outside an artery folder.
    _write(raw, "real_distribution/Left_Dominance/Study123_a1f/LCA/1.npz", good)
    raw.skipped["duplicate series"] += 1
    _write(raw, f"{study}/3.npz", good)
    raw.skipped["file outside the LCA or RCA folder of a study"] += 1
