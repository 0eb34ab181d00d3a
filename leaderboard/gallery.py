"""Example pictures of measured runs, for the page's viewer."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.results import Example, RunRecord, path_of, read_examples, read_scores
from benchmark.results.store import placed_line
from benchmark.text import visible
from leaderboard.build import Leaderboard

#: A box with a lower score is not drawn.
SCORE = 0.5
_TRUE_BOX, _FOUND_BOX = (86, 180, 233), (230, 159, 0)


def gallery(
    leaderboard: Leaderboard, paths: Mapping[Path, Path]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The examples kept beside the records of the main boards, one run per method and data set.

    Of several seeds the first one with examples is taken, whatever its score.

    Args:
        paths: place of a run (`path_of`) → its record's file.

    Returns:
        One entry per data set and image, in the order of the columns and rows of the boards, and
        one line per file of examples that was left out. Pictures are PNG ``data:`` addresses.
        Masks are 0 and 255, any class of several counting as 255. Where the truth is no mask
        (boxes, clean frames) it is None, and ``mask`` is a picture: the frame with the boxes of the
        truth in blue and those found, with a score of at least `SCORE`, in orange; or the denoised
        frame.
    """
    runs: dict[tuple[str, str], list[RunRecord]] = {}
    for record in leaderboard.records:
        if record.examples is not None:
            runs.setdefault((record.method, record.dataset), []).append(record)
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    problems = []
    for board in leaderboard.boards:
        if board.analysis:
            continue
        for dataset in dict.fromkeys(column.dataset for column in board.columns):
            metrics = [column.metric for column in board.columns if column.dataset == dataset]
            for row in board.rows:
                found = [] if row.context else runs.get((row.method, dataset), [])
                if not found:
                    continue
                path = paths[path_of(found[0])]
                try:
                    examples = read_examples(path)
                    scores = read_scores(path)
                except InputError as error:
                    problems.append(placed_line(path, path_of(found[0]), str(error)))
                    continue
                for example in examples:
                    entry = entries.setdefault(
                        (dataset, example.image), _entry(dataset, example, board.task)
                    )
                    entry["predictions"].append(
                        {
                            "row": row.id,
                            "seed": found[0].seed,
                            "mask": _prediction(example, board.task),
                            "scores": _scores(scores, example.image, metrics),
                        }
                    )
    return list(entries.values()), problems


def _entry(dataset: str, example: Example, task: str) -> dict[str, Any]:
    truth = _png(255 * (example.truth > 0).astype(np.uint8)) if task == "segmentation" else None
    return {
        "dataset": dataset,
        "image": visible(example.image),
        "frame": _png(example.frame),
        "truth": truth,
        "predictions": [],
    }


def _prediction(example: Example, task: str) -> str:
    if task == "segmentation":
        return _png(255 * (example.prediction > 0).astype(np.uint8))
    if task == "denoising":
        return _png(example.prediction)
    return _png(_with_boxes(example))


def _with_boxes(example: Example) -> np.ndarray:
    """The frame (H, W, 3) with the boxes of the truth and of the prediction drawn into it."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(example.frame).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for box in example.truth:
        draw.rectangle([float(edge) for edge in box[:4]], outline=_TRUE_BOX, width=2)
    for box in example.prediction[example.prediction[:, 5] >= SCORE]:
        draw.rectangle([float(edge) for edge in box[:4]], outline=_FOUND_BOX, width=2)
    return np.asarray(picture)


def _scores(table: Mapping[str, list[Any]], image: str, metrics: list[str]) -> dict[str, float]:
    if image not in table["image"]:
        return {}
    index = table["image"].index(image)
    values = {metric: table[metric][index] for metric in metrics if metric in table}
    return {metric: value for metric, value in values.items() if math.isfinite(value)}


def _png(pixels: np.ndarray) -> str:
    # Only a board with pictures waits for this import.
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
