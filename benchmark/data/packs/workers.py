"""Decoding frames in order, in this process or in several."""

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
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmark.data.frame import Frame, Source, UnreadableFrame
from benchmark.data.packs.layout import pack_frame
from benchmark.data.selection import Skip, take_notes
from benchmark.data.sources.files import FolderSource, split_frame_path
from benchmark.errors import InputError

CHUNKS_AHEAD = 3
"""Chunks that workers decode while one is written."""

_BATCH = 8
_LONGEST_BATCH = 64

Packed = tuple[dict[str, Any], np.ndarray]
Outcome = tuple[Packed | str, list[Skip]]
Results = tuple[list[Frame], Iterable[Outcome]]


def file_runs(frames: Iterable[Frame], most: int) -> Iterator[list[Frame]]:
    """Consecutive frames that come from one file, at most `most` at a time.

    Who reads one frame of a video has decoded all of them, so they had better stay together.
    """
    for _, run in itertools.groupby(frames, key=lambda frame: split_frame_path(frame.path)[0]):
        while piece := list(itertools.islice(run, most)):
            yield piece


def _batches(chunk: list[Frame]) -> Iterator[list[Frame]]:
    """What a worker is given at a time: a share of a video, or several pictures."""
    batch: list[Frame] = []
    for run in file_runs(chunk, _LONGEST_BATCH):
        batch += run
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _pack_or_reason(source: Source, size: int, frame: Frame) -> Outcome:
    try:
        result: Packed | str = pack_frame(source, frame, size)
    except UnreadableFrame as error:
        result = str(error)
    return result, take_notes(source)


_work: Callable[[Frame], Outcome]


def _start_worker(work: Callable[[Frame], Outcome] | None = None) -> None:
    # An interruption is the parent's to handle; a traceback from every worker helps nobody.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # As many threads for each worker as there are cores would only be in each other's way.
    threadpool_limits(1)
    if work is not None:
        global _work
        _work = work


def _end_with_parent() -> None:
    # A pool whose owner is killed waits for work for ever; a scheduler may well kill the owner.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do_work(batch: list[Frame]) -> list[Outcome]:
    return list(map(_work, batch))


@contextmanager
def _pool(name: str, workers: int, *initargs: Any) -> Iterator[ProcessPoolExecutor]:
    # Forked, so that the source reaches the workers as it is, whatever it holds.
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=initargs)
    try:
        yield pool
    except BrokenProcessPool:
        raise InputError(
            f"{name}: a worker process was killed, as happens when memory runs out; use "
            "fewer workers, then the same command goes on"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def decoder(
    source: Source, size: int, workers: int, frames: Iterable[Frame]
) -> Iterator[Callable[[Iterable[list[Frame]]], Iterator[Results]]]:
    """A function that maps chunks of frames to (chunk, results), in order.

    A result is the index row and the square of a frame, or the reason why it cannot be used; and
    what the source has noted. With workers, up to `CHUNKS_AHEAD` chunks are held in memory besides
    the one that is written.

    Args:
        source: what reads the frames.
        size: side of the squares in pixels.
        workers: processes; 0 decodes in this one, frame by frame.
        frames: all that will be decoded. What they have in common is decided before each worker
            would do it.

    Raises:
        InputError: a worker was killed.
    """
    work = functools.partial(_pack_or_reason, source, size)
    if workers == 0:
        yield lambda chunks: ((chunk, map(work, chunk)) for chunk in chunks)
        return
    if isinstance(source, FolderSource):
        with _pool(source.name, workers) as pool:
            source.prepare(frames, functools.partial(pool.map, chunksize=_BATCH))
    with _pool(source.name, workers, work) as pool:

        def decode(chunks: Iterable[list[Frame]]) -> Iterator[Results]:
            ahead: deque[tuple[list[Frame], list[Future[list[Outcome]]]]] = deque()
            for chunk in chunks:
                ahead.append((chunk, [pool.submit(_do_work, batch) for batch in _batches(chunk)]))
                if len(ahead) > CHUNKS_AHEAD:
                    yield _in_order(*ahead.popleft())
            while ahead:
                yield _in_order(*ahead.popleft())

        yield decode


def _in_order(chunk: list[Frame], futures: list[Future[list[Outcome]]]) -> Results:
    waiting = deque(futures)

    def results() -> Iterator[Outcome]:
        while waiting:  # A batch that has been written is not kept.
            yield from waiting.popleft().result()

    return chunk, results()
