"""CADICA as unpacked: list files with CRLF, frames as PNG, an extra folder level."""

from __future__ import annotations

import numpy as np

from benchmark.data.synthetic.raw.layout import Canvas, RawLayout, truncate

_ROOT = "CADICA/CADICA"


def write_cadica(canvas: Canvas) -> RawLayout:
    """Patients p2 and p14; frame N of ``pX_vY`` is ``canvas.draw(X, Y, N % 8)``.

    Every video has the frames 9 to 12, of which 10, 9 and 12 are selected, in this order.
    """
    layout = canvas.layout
    for patient, videos in ((2, (1, 10)), (14, (3,))):
        for video in videos:
            _write_video(canvas, f"{_ROOT}/selectedVideos", patient, video, selected=(10, 9, 12))
            layout.frames[None] += 3
        folder = f"{_ROOT}/selectedVideos/p{patient}"
        canvas.write(f"{folder}/lesionVideos.txt", f"v{videos[0]} \r\n\r\n")
        canvas.write(f"{folder}/nonlesionVideos.txt", "".join(f"v{v}\r\n" for v in videos[1:]))
        boxes = f"{folder}/v{videos[0]}/groundtruth/p{patient}_v{videos[0]}_00009.txt"
        canvas.write(boxes, "10 12 20 20 p50_70\r\n")
    _write_video(canvas, f"{_ROOT}/nonselectedVideos", 2, 4)
    canvas.write(f"{_ROOT}/readme.txt", "CADICA\r\n")
    if canvas.defects:
        _add_defects(canvas, layout)
    return layout


def _write_video(
    canvas: Canvas, top: str, patient: int, video: int, selected: tuple[int, ...] = ()
) -> None:
    stem = f"p{patient}_v{video}"
    folder = f"{top}/p{patient}/v{video}"
    for number in range(9, 13):
        pixels = canvas.draw(patient, video, number % 8).image
        canvas.save(f"{folder}/input/{stem}_{number:05d}.png", pixels)
    if selected:
        words = "".join(f"{stem}_{number:05d} \r\n\r\n" for number in selected)
        canvas.write(f"{folder}/{stem}_selectedFrames.txt", words)


def _add_defects(canvas: Canvas, layout: RawLayout) -> None:
    top = f"{_ROOT}/selectedVideos"
    canvas.clutter(top)
    canvas.clutter(f"{top}/p2/v1/input")
    canvas.write(f"{top}/CADICAprojections.json", "{}")
    canvas.write(f"{top}/p2/v10/groundTruth/p2_v10_00010.txt", "")

    canvas.write(f"{top}/notes/readme.txt", "", skipped="folder is not a patient")
    canvas.write(f"{top}/p2/previews/readme.txt", "", skipped="folder is not a video")
    canvas.write(f"{top}/p14/nonlesionVideos.txt", "v77\r\n", skipped="listed video missing")
    canvas.write(
        f"{top}/p14/v4/p14_v4_selectedFrames.txt",
        "p14_v4_00001\r\n",
        skipped="video without an input folder",
    )

    _write_video(canvas, top, 14, 5)
    layout.skipped["video without a selectedFrames list"] += 1
    _write_video(canvas, top, 14, 6)
    canvas.write(
        f"{top}/p14/v6/p14_v6_selectedFrames.txt", "\r\n \r\n", skipped="empty selectedFrames list"
    )

    # Frames of another video: four equivalent encodings, and one of each type of damage.
    stem, folder = "p14_v7", f"{top}/p14/v7/input"
    pixels = canvas.draw(14, 7).image
    names = [f"{folder}/{stem}_{number:05d}" for number in range(1, 9)]
    canvas.save(f"{names[0]}.PNG", pixels)
    canvas.save(f"{names[1]}.png", pixels, "RGB")
    canvas.save(f"{names[2]}.png", pixels, "P")
    canvas.save(f"{names[3]}.png", pixels.astype(np.uint16) * 257)
    layout.frames[None] += 4
    truncate(canvas.save(f"{names[4]}.png", pixels, skipped="damaged image"))
    canvas.write(f"{names[5]}.png", b"", skipped="empty file")
    canvas.save(f"{names[6]}.png", np.zeros_like(pixels), skipped="constant image")
    canvas.save(f"{folder}/p9_v7_00001.png", pixels, skipped="file name does not fit its folder")
    layout.skipped["listed frame missing"] += 1
    layout.skipped["list entry does not fit its video"] += 2
    words = [f"{stem}_{number:05d}" for number in range(1, 9)]
    listing = "\r\n".join([*words, "p2_v1_00009", "../p2/v1/input/p2_v1_00009"])
    canvas.write(f"{top}/p14/v7/{stem}_selectedFrames.txt", listing)
