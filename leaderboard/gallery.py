"""Example pictures of measured runs, for the page's viewer."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.results import Example, RunRecord, path_of, read_examples, read_scores
from benchmark.results.store import placed_line
from benchmark.text import visible
from leaderboard.board import Board, Row
from leaderboard.build import Leaderboard

#: Boxes with a lower score are not drawn.
SCORE_THRESHOLD = 0.5
_TRUE_BOX, _PREDICTED_BOX = (86, 180, 233), (230, 159, 0)


def gallery(
    leaderboard: Leaderboard, paths: Mapping[Path, Path]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The examples kept beside the records of the main boards, one run per method and dataset.

    Of several seeds the first one with examples is taken, whatever its score.

    Args:
        paths: place of a run (`path_of`) → file of its record.

    Returns:
        One entry per dataset and image, in the order of the columns and rows of the boards, and
        one line per skipped file of examples. Pictures are PNG ``data:`` URLs. Masks are 0 and 255,
        any class of several counting as 255. Where the ground truth is not a mask (boxes, clean
        frames) it is None, and ``mask`` is a picture: the frame with the true boxes in blue and
        those predicted, with a score of at least `SCORE_THRESHOLD`, in orange; or the denoised
        frame.
    """
    runs: dict[tuple[str, str], RunRecord] = {}
    for record in leaderboard.records:
        if record.examples is not None:
            runs.setdefault((record.method, record.dataset), record)
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    problems = []
    for board, dataset, row in _dataset_rows(leaderboard):
        if row.context or (row.method, dataset) not in runs:
            continue
        record = runs[row.method, dataset]
        path = paths[path_of(record)]
        try:
            examples, scores = read_examples(path), read_scores(path)
        except InputError as error:
            problems.append(placed_line(path, path_of(record), str(error)))
            continue
        metrics = [column.metric for column in board.columns if column.dataset == dataset]
        for example in examples:
            new = _entry(dataset, example, board.task)
            entry = entries.setdefault((dataset, example.image), new)
            entry["predictions"].append(
                {
                    "row": row.id,
                    "seed": record.seed,
                    "mask": _prediction(example, board.task),
                    "scores": _scores(scores, example.image, metrics),
                }
            )
    return list(entries.values()), problems


def _dataset_rows(leaderboard: Leaderboard) -> Iterator[tuple[Board, str, Row]]:
    for board in leaderboard.boards:
        if not board.analysis:
            for dataset in dict.fromkeys(column.dataset for column in board.columns):
                for row in board.rows:
                    yield board, dataset, row


def _entry(dataset: str, example: Example, task: str) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "image": visible(example.image),
        "frame": _png(example.frame),
        "truth": _mask(example.truth) if task == "segmentation" else None,
        "predictions": [],
    }


def _prediction(example: Example, task: str) -> str:
    if task == "segmentation":
        return _mask(example.prediction)
    return _png(example.prediction if task == "denoising" else _with_boxes(example))


def _mask(labels: np.ndarray) -> str:
    return _png(255 * (labels > 0).astype(np.uint8))


def _with_boxes(example: Example) -> np.ndarray:
    """The frame (H, W, 3) with the true and the predicted boxes drawn into it."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(example.frame).convert("RGB")
    draw = ImageDraw.Draw(picture)
    confident = example.prediction[example.prediction[:, 5] >= SCORE_THRESHOLD]
    for boxes, colour in ((example.truth, _TRUE_BOX), (confident, _PREDICTED_BOX)):
        for box in boxes:
            draw.rectangle([float(edge) for edge in box[:4]], outline=colour, width=2)
    return np.asarray(picture)


def _scores(table: Mapping[str, list[Any]], image: str, metrics: list[str]) -> dict[str, float]:
    if image not in table["image"]:
        return {}
    index = table["image"].index(image)
    values = {metric: table[metric][index] for metric in metrics if metric in table}
    return {metric: value for metric, value in values.items() if math.isfinite(value)}


def _png(pixels: np.ndarray) -> str:
    # Imported here, because only a board with pictures needs it.
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
