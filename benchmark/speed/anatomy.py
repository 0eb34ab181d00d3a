"""Speed and agreement of `vessel_mask` against the same steps written with scikit-image."""

from __future__ import annotations

import os
import sys

import cv2
import numpy as np
import scipy
import skimage
import torch
from scipy import ndimage
from skimage.filters import sato

from benchmark.anatomy.extraction import vessel_mask
from benchmark.data.formats.images import read_grayscale
from benchmark.data.frame import UnreadableFrame
from benchmark.errors import InputError
from benchmark.files import walk
from benchmark.speed.frames import draw
from benchmark.speed.timing import TimingRow, compare, cpu_threads, show_rows

_GPU_FRAMES, _GPU_BATCH = 1024, 64


def reference_mask(frame: np.ndarray, alpha: float = 92.0, border: int = 20) -> np.ndarray:
    """The vessel mask of one frame with scikit-image, numpy and scipy (``sato``).

    Args:
        frame: uint8 H×W.
        alpha: percentile.
        border: pixels.

    Returns:
        bool H×W.
    """
    value = sato(frame, sigmas=range(1, 5), black_ridges=True, mode="reflect").astype(np.uint8)
    inside = np.zeros(frame.shape, dtype=bool)
    inside[border : frame.shape[0] - border, border : frame.shape[1] - border] = True
    value[~inside] = 0
    keep = (value >= np.percentile(value, alpha)) & (value > 0)
    labels, _ = ndimage.label(keep)
    label = labels[np.unravel_index(value.argmax(), value.shape)]
    return (labels == label) & (label > 0)


def _images_below(folder: str, count: int, size: int) -> np.ndarray:
    """The first `count` PNG files below `folder` that decode, grey, resized to size×size."""
    frames: list[np.ndarray] = []
    for path in sorted(path for path in walk(folder) if path.suffix == ".png"):
        try:
            image = read_grayscale(path)
        except UnreadableFrame as error:
            print(f"skipped: {path}: {error}", file=sys.stderr)
            continue
        if image.shape != (size, size):
            image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
        frames.append(image)
        if len(frames) == count:
            break
    if not frames:
        raise InputError(f"{folder}: no readable PNG file below it")
    if len(frames) < count:
        print(f"{folder}: only {len(frames)} frames, {count} asked for", file=sys.stderr)
    return np.stack(frames)


def bench_anatomy(
    count: int = 20,
    size: int = 512,
    threads: int = 1,
    repeats: int = 3,
    images: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    device: str = "cpu",
) -> TimingRow:
    """Time both sides in turn on the same frames, compare the masks, print and return the row.

    A GPU gets the frames many times over, in batches of 64, so that it is busy; copies from and to
    the host are timed, too.

    The arguments are options of ``tools/bench.py``; `size` is in pixels, images of other sizes are
    resized.

    Raises:
        InputError: the folder holds no image, or there is no such device.
    """
    on_gpu = device == "cuda"
    if on_gpu and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU")
    if images is None:
        frames = np.stack([frame.image for frame in draw(count, size)])
    else:
        frames = _images_below(os.fspath(images), count, size)
    copies = max(1, _GPU_FRAMES // len(frames)) if on_gpu else 1
    batches = torch.from_numpy(frames).repeat(copies, 1, 1).split(_GPU_BATCH if on_gpu else count)

    def agreement(masks: torch.Tensor, reference: list[np.ndarray]) -> np.ndarray:
        return (masks[: len(frames)].numpy() == np.stack(reference)).mean(axis=(1, 2))

    with cpu_threads(threads):
        row = compare(
            f"vessel masks (sato), {len(frames)} frames {size}x{size}, {threads} thread(s)",
            f"scikit-image {skimage.__version__}, scipy {scipy.__version__}",
            (
                lambda: torch.cat([vessel_mask(batch.to(device)).cpu() for batch in batches]),
                lambda: [reference_mask(frame) for frame in frames],
            ),
            len(frames),
            repeats,
            agreement,
            device=torch.cuda.get_device_name() if on_gpu else None,
            copies=copies,
        )
    show_rows([row], out, "anatomy", threads)
    return row
