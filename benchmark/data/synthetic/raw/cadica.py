"""CADICA as unpacked: list files with CRLF, frames as PNG, an extra folder level."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.dataset import RawDataset, truncate

_ROOT = "CADICA/CADICA"


def write_cadica(raw: RawDataset) -> None:
    """Patients p2 and p14; frame N of ``pX_vY`` is ``raw.draw(X, Y, N % 8)``.

    Every video has the frames 9 to 12, of which 10, 9 and 12 are selected, in this order.
    """
    top = f"{_ROOT}/selectedVideos"
    for patient, videos in ((2, (1, 10)), (14, (3,))):
        for video in videos:
            stem = _write_video(raw, f"{top}/p{patient}/v{video}")
            words = "".join(f"{stem}_{number:05d} \r\n\r\n" for number in (10, 9, 12))
            raw.write(f"{top}/p{patient}/v{video}/{stem}_selectedFrames.txt", words)
            raw.frames[None] += 3
        folder = f"{top}/p{patient}"
        raw.write(f"{folder}/lesionVideos.txt", f"v{videos[0]} \r\n\r\n")
        raw.write(f"{folder}/nonlesionVideos.txt", "".join(f"v{v}\r\n" for v in videos[1:]))
        boxes = f"{folder}/v{videos[0]}/groundtruth/p{patient}_v{videos[0]}_00009.txt"
        raw.write(boxes, "10 12 20 20 p50_70\r\n")
    _write_video(raw, f"{_ROOT}/nonselectedVideos/p2/v4")
    raw.write(f"{_ROOT}/readme.txt", "CADICA\r\n")
    if not raw.defects:
        return
    raw.clutter(top)
    raw.clutter(f"{top}/p2/v1/input")
    raw.write(f"{top}/CADICAprojections.json", "{}")
    raw.write(f"{top}/p2/v10/groundTruth/p2_v10_00010.txt", "")
    _write_video(raw, f"{top}/p14/v5")
    _write_video(raw, f"{top}/p14/v6")
    raw.skipped["video without a selectedFrames list"] += 1
    for path, text, reason in (
        ("notes/readme.txt", "", "folder is not a patient"),
        ("p2/previews/readme.txt", "", "folder is not a video"),
        ("p14/nonlesionVideos.txt", "v77\r\n", "listed video missing"),
        ("p14/v4/p14_v4_selectedFrames.txt", "p14_v4_00001\r\n", "video without an input folder"),
        ("p14/v6/p14_v6_selectedFrames.txt", "\r\n \r\n", "empty selectedFrames list"),
    ):
        raw.write(f"{top}/{path}", text, skipped=reason)

    # Frames of another video: four equivalent encodings, and one of each type of damage.
    stem, folder = "p14_v7", f"{top}/p14/v7/input"
    pixels = raw.draw(14, 7).image
    raw.save(f"{folder}/{stem}_00001.PNG", pixels)
    raw.save(f"{folder}/{stem}_00002.png", pixels, "RGB")
    raw.save(f"{folder}/{stem}_00003.png", pixels, "P")
    raw.save(f"{folder}/{stem}_00004.png", pixels.astype(np.uint16) * 257)
    raw.frames[None] += 4
    truncate(raw.save(f"{folder}/{stem}_00005.png", pixels, skipped="damaged image"))
    raw.write(f"{folder}/{stem}_00006.png", b"", skipped="empty file")
    raw.save(f"{folder}/{stem}_00007.png", np.zeros_like(pixels), skipped="constant image")
    raw.save(f"{folder}/p9_v7_00001.png", pixels, skipped="file name does not fit its folder")
    raw.skipped["listed frame missing"] += 1
    raw.skipped["list entry does not fit its video"] += 2
    words = [f"{stem}_{number:05d}" for number in range(1, 9)]
    listing = "\r\n".join([*words, "p2_v1_00009", "../p2/v1/input/p2_v1_00009"])
    raw.write(f"{top}/p14/v7/{stem}_selectedFrames.txt", listing)


def _write_video(raw: RawDataset, folder: str) -> str:
    """Write the frames of ``…/pX/vY``; returns the stem of their names, ``pX_vY``."""
    stem = "_".join(folder.split("/")[-2:])
    patient, video = (int(word[1:]) for word in stem.split("_"))
    for number in range(9, 13):
        pixels = raw.draw(patient, video, number % 8).image
        raw.save(f"{folder}/input/{stem}_{number:05d}.png", pixels)
    return stem
