"""Speed and agreement of `vessel_mask` against the same steps written with scikit-image."""

from __future__ import annotations

import csv
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TypeVar

import cv2
import numpy as np
import scipy
import skimage
import torch
from scipy import ndimage
from skimage.filters import sato

from benchmark.anatomy.extraction import vessel_mask
from benchmark.errors import InputError
from benchmark.files import atomic_write

COLUMNS = (
    "what",
    "reference",
    "ours_per_s",
    "reference_per_s",
    "ratio",
    "agreement_mean",
    "agreement_min",
    "machine",
    "torch",
    "precision",
    "command",
)

Result = TypeVar("Result")


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
    for path in sorted(Path(folder).rglob("*.png")):
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if image is None:
            print(f"left out: {path} cannot be read", file=sys.stderr)
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


def _synthetic_frames(count: int, size: int) -> np.ndarray:
    from benchmark.data.synthetic import angiogram

    # Four frames of one video per patient, as the contrast washes in.
    frames = (angiogram(0, i // 4, 0, i % 4, size=size).image for i in range(count))
    return np.stack(list(frames))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """`count` CPU threads for torch and OpenCV; scikit-image's filters use one in any case."""
    torch_before, cv2_before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(count)
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        torch.set_num_threads(torch_before)
        cv2.setNumThreads(cv2_before)


def _timed(function: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def _machine() -> str:
    """Model of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, CPU"


def bench_anatomy(
    count: int = 20,
    size: int = 512,
    threads: int = 1,
    repeats: int = 3,
    images: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
) -> dict[str, str]:
    """Time both sides in turn on the same frames, compare the masks, print and return the row.

    The two alternate within every repeat, so that a machine that is slowed down by others slows
    both. Before the first repeat one frame goes through each side, unmeasured.

    Args:
        count: frames.
        size: height and width in pixels; images of other sizes are resized.
        threads: CPU threads.
        repeats: timings per side, of which the medians are reported.
        images: folder with PNG frames; None: synthetic angiograms.
        out: CSV file with `COLUMNS`; None: none is written.

    Raises:
        InputError: a number is below 1, or the folder holds no image.
    """
    for name, number in (
        ("frames", count),
        ("size", size),
        ("threads", threads),
        ("repeats", repeats),
    ):
        if number < 1:
            raise InputError(f"--{name} {number}: expected 1 or more")
    if images is None:
        frames = _synthetic_frames(count, size)
    else:
        frames = _images_below(os.fspath(images), count, size)
    batch = torch.from_numpy(frames)
    ours_times, reference_times = [], []
    with _threads(threads):
        vessel_mask(batch[:1])
        reference_mask(frames[0])
        for _ in range(repeats):
            seconds, ours = _timed(lambda: vessel_mask(batch))
            ours_times.append(seconds)
            seconds, reference = _timed(lambda: [reference_mask(frame) for frame in frames])
            reference_times.append(seconds)
    agreement = (ours.numpy() == np.stack(reference)).mean(axis=(1, 2))
    ours_per_s = len(frames) / median(ours_times)
    reference_per_s = len(frames) / median(reference_times)
    row = {
        "what": f"vessel masks (sato), {len(frames)} frames {size}x{size}, {threads} thread(s)",
        "reference": f"scikit-image {skimage.__version__}, scipy {scipy.__version__}",
        "ours_per_s": f"{ours_per_s:.2f}",
        "reference_per_s": f"{reference_per_s:.2f}",
        "ratio": f"{ours_per_s / reference_per_s:.2f}",
        "agreement_mean": f"{agreement.mean():.6f}",
        "agreement_min": f"{agreement.min():.6f}",
        "machine": _machine(),
        "torch": torch.__version__,
        "precision": "fp32",
        "command": shlex.join(["tools/bench.py", *sys.argv[1:]]),
    }
    width = max(map(len, COLUMNS))
    for column in COLUMNS:
        print(f"{column:<{width}}  {row[column]}")
    if out is not None:
        with atomic_write(out, "w") as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerow(row)
    return row
