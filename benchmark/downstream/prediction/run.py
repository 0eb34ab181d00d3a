"""Predicting frames in batches."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from benchmark.data.frame import UnreadableFrame
from benchmark.data.progress import progress_bar
from benchmark.data.selection import read_usable
from benchmark.downstream.fine_tuned.model import FineTunedModel
from benchmark.downstream.prediction.frames import InputFrame
from benchmark.downstream.prediction.writing import PredictionWriter
from benchmark.errors import InputError
from benchmark.text import visible


def predict_frames(
    model: FineTunedModel,
    frames: Sequence[InputFrame],
    writer: PredictionWriter,
    batch_size: int,
    progress: bool = True,
) -> int:
    """Predict frames and write what was found; one that cannot be read is a line on stderr.

    Args:
        model: model whose outputs `writer` writes.
        frames: from `list_frames`.
        batch_size: frames that pass through the network at once.
        progress: whether progress is shown on stderr.

    Returns:
        The number of frames that could not be read.

    Raises:
        InputError: maps of probabilities were asked of a model without any, or the memory of the
            GPU is too small for a batch.
    """
    unreadable = 0
    with progress_bar("predict", len(frames), 0, progress) as advance:
        batch: list[tuple[InputFrame, np.ndarray]] = []
        for frame, pixels in _read(frames):
            if isinstance(pixels, str):
                unreadable += 1
                print(visible(f"{frame.path}: {pixels}; skipped"), file=sys.stderr, flush=True)
                writer.refuse(frame, pixels)
                advance(1)
                continue
            batch.append((frame, pixels))
            if len(batch) == batch_size:
                _predict(model, batch, writer)
                advance(len(batch))
                batch = []
        _predict(model, batch, writer)
        advance(len(batch))
    writer.finish(frames)
    return unreadable


def _read(frames: Sequence[InputFrame]) -> Iterator[tuple[InputFrame, np.ndarray | str]]:
    """Frames with their pixels, or the reason why they have none."""
    for frame in frames:
        if frame.frame is None:
            yield frame, frame.error
            continue
        try:
            pixels: np.ndarray | str = read_usable(frame.source, frame.frame)
        except UnreadableFrame as error:
            pixels = str(error)
        yield frame, pixels


def _predict(
    model: FineTunedModel, batch: Sequence[tuple[InputFrame, np.ndarray]], writer: PredictionWriter
) -> None:
    try:
        found = model.predict([pixels for _, pixels in batch])
    except torch.OutOfMemoryError:
        raise InputError(
            f"the memory of the GPU is too small for {len(batch)} frames at once; use a smaller "
            "--batch-size"
        ) from None
    if writer.outputs.probabilities and any(one.probabilities is None for one in found):
        raise InputError("--probabilities: a filter without training has none; remove it")
    for (frame, pixels), one in zip(batch, found):
        writer.add(frame, pixels, one)
