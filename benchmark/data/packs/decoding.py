"""Decoding frames into index rows and squares, in order, in this process or in several."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmark.data.frame import Frame, Source, UnreadableFrame
from benchmark.data.image_hashes import perceptual_hash, pixel_sha256
from benchmark.data.selection import read_usable
from benchmark.data.skips import Skip, take_notes
from benchmark.data.sources.files import FolderSource, split_frame_path
from benchmark.errors import InputError

RESIZE = "longest side to size, PIL bicubic, top left, rest 0"
"""Description of `fit_square`; part of the identity of a pack."""

_BATCH = 8
_LONGEST_BATCH = 64


class DecodedFrame(NamedTuple):
    """Result of decoding one frame.

    Attributes:
        row: index row; empty if the frame is unusable.
        square: pixels, uint8 S×S; None if the frame is unusable.
        unusable: the reason why it is unusable, or None.
        notes: (reason, where) of notes about intensities.
    """

    row: dict[str, Any]
    square: np.ndarray | None
    unusable: str | None
    notes: list[Skip]


def fit_square(pixels: np.ndarray, size: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Resize an image to fit size×size, keeping its aspect ratio.

    The longest side becomes `size` (PIL bicubic, antialiased; unchanged if it already is), the
    image lies in the top left corner, the rest is 0. uint8 throughout; also returns the height and
    width that the image covers.
    """
    height, width = pixels.shape
    if height == width == size:
        return np.ascontiguousarray(pixels), (size, size)
    longest = max(height, width)
    valid = tuple(max(1, (2 * side * size + longest) // (2 * longest)) for side in (height, width))
    if longest != size:
        resized = Image.fromarray(pixels).resize(valid[::-1], Image.Resampling.BICUBIC)
        pixels = np.asarray(resized)
    square = np.zeros((size, size), dtype=np.uint8)
    square[: valid[0], : valid[1]] = pixels
    return square, valid


def decode_frame(source: Source, size: int, frame: Frame) -> DecodedFrame:
    """Index row and square of one frame, or the reason why it cannot be used."""
    try:
        pixels = read_usable(source, frame)
    except UnreadableFrame as error:
        return DecodedFrame({}, None, str(error), take_notes(source))
    square, valid = fit_square(pixels, size)
    row = {
        "source": frame.source,
        "path": frame.path,
        "group": frame.group,
        "video": frame.video,
        "split": frame.split,
        "sha256": pixel_sha256(pixels),
        "phash": perceptual_hash(pixels),
        "frame": frame.frame,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "valid_height": valid[0],
        "valid_width": valid[1],
    }
    return DecodedFrame(row, square, None, take_notes(source))


def decode(
    source: Source, frames: list[Frame], size: int, workers: int, ahead: int
) -> Iterator[DecodedFrame]:
    """Decode frames in order.

    Args:
        frames: all frames to decode. White levels of file sets are measured before the frames are
            distributed, since every worker would measure them again.
        workers: processes; 0 decodes in this one, frame by frame.
        ahead: maximum number of frames in flight, beside one batch.
    """
    work = functools.partial(decode_frame, source, size)
    if workers == 0:
        yield from map(work, frames)
        return
    if isinstance(source, FolderSource):
        with _worker_pool(source.name, workers) as pool:
            source.prepare(frames, functools.partial(pool.map, chunksize=_BATCH))
    with _worker_pool(source.name, workers, work) as pool:
        pending: deque[Future[list[DecodedFrame]]] = deque()
        waiting = 0
        for batch in _batches(frames, ahead):
            pending.append(pool.submit(_decode_batch, batch))
            waiting += len(batch)
            while waiting > ahead:
                decoded = pending.popleft().result()
                waiting -= len(decoded)
                yield from decoded
        while pending:
            yield from pending.popleft().result()


def _batches(frames: Iterable[Frame], most: int) -> Iterator[list[Frame]]:
    """Batches of work: part of a video, or several images; at most `most` frames.

    Reading one frame of a video file decodes all of them, so the frames of a file stay together.
    """
    batch: list[Frame] = []
    for _, run in itertools.groupby(frames, key=lambda frame: split_frame_path(frame.path)[0]):
        while piece := list(itertools.islice(run, min(_LONGEST_BATCH, most))):
            if batch and len(batch) + len(piece) > most:
                yield batch
                batch = []
            batch += piece
            if len(batch) >= _BATCH:
                yield batch
                batch = []
    if batch:
        yield batch


_work: Callable[[Frame], DecodedFrame]


def _decode_batch(batch: list[Frame]) -> list[DecodedFrame]:
    return list(map(_work, batch))


def _start_worker(work: Callable[[Frame], DecodedFrame] | None = None) -> None:
    # The parent handles interruptions; a traceback from every worker helps nobody.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # One thread per worker: more would compete for the same cores.
    threadpool_limits(1)
    if work is not None:
        global _work
        _work = work


def _end_with_parent() -> None:
    # Workers of a killed parent would otherwise wait for work forever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _worker_pool(name: str, workers: int, *initargs: Any) -> Iterator[ProcessPoolExecutor]:
    # Forked, so that the source need not be picklable.
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=initargs)
    try:
        yield pool
    except BrokenProcessPool:
        raise InputError(
            f"{name}: a worker process was killed, as happens when memory runs out; run the same "
            "command again with fewer workers to resume"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)
