"""Which examples of the measured runs the page shows, and their pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.results import RunRecord, StoredExamples, path_of, read_scores
from benchmark.results.store import placed_line
from benchmark.text import visible
from leaderboard.board import Board, Row
from leaderboard.build import Leaderboard
from leaderboard.pictures.files import Picture, frame_picture, mask_picture

#: Height and width in pixels.
Size = tuple[int, int]

#: Boxes with a lower score are not shown.
SCORE_THRESHOLD = 0.5
#: Decimals of the coordinates of boxes, in pixels, and of their scores.
_DIGITS = 2


@dataclass(slots=True)
class Gallery:
    """The examples of the main boards, one run per method and dataset.

    Attributes:
        entries: one per board, dataset and image, in the order of boards, columns and rows.
            ``frame`` and, of segmentation, ``truth`` and every ``mask`` are names of `pictures`,
            as is ``picture``, the denoised frame. Of detection, ``truth_boxes`` and ``boxes`` are
            x0, y0, x1, y1 in pixels of the frame, and the score of a prediction.
        pictures: name → content of a file, each once.
        problems: one line per skipped file of examples.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def make_gallery(leaderboard: Leaderboard, paths: Mapping[Path, Path]) -> Gallery:
    """Read and encode what the page shows, and nothing else.

    Of several seeds the first one with examples is taken, whatever its score; the files of the
    others are not opened. Frame and truth of an image are those of the first method; boxes of a run
    that kept it at another size are scaled to that frame, as the page scales masks.

    Args:
        paths: place of a run (`path_of`) → file of its record.
    """
    runs: dict[tuple[str, str], RunRecord] = {}
    for record in leaderboard.records:
        if record.examples is not None:
            runs.setdefault((record.method, record.dataset), record)
    found = Gallery()
    entries: dict[tuple[str, str, str], dict[str, Any]] = {}
    sizes: dict[tuple[str, str, str], Size] = {}
    for board, dataset, row in _dataset_rows(leaderboard):
        record = runs.get((row.method, dataset))
        if row.context or record is None:
            continue
        path = paths[path_of(record)]
        metrics = [column.metric for column in board.columns if column.dataset == dataset]
        reader = _Reader(path, record, board.task)
        place = (board.id, dataset)
        try:
            scores = read_scores(path, ["image", *metrics])
            examples = list(reader.examples(lambda image, place=place: sizes.get((*place, image))))
        except InputError as error:
            found.problems.append(placed_line(path, path_of(record), str(error)))
            continue
        for image, size, about, shown in examples:
            if about:
                sizes[(*place, image)] = size
                names = {"board": board.id, "dataset": dataset, "image": visible(image)}
                entries[(*place, image)] = {**names, **about, "predictions": []}
            prediction = {"row": row.id, "seed": record.seed, **shown}
            prediction["scores"] = _scores(scores, image, metrics)
            entries[(*place, image)]["predictions"].append(prediction)
        found.pictures |= reader.pictures
    found.entries = list(entries.values())
    return found


def _dataset_rows(leaderboard: Leaderboard) -> Iterator[tuple[Board, str, Row]]:
    for board in leaderboard.boards:
        if not board.analysis:
            for dataset in dict.fromkeys(column.dataset for column in board.columns):
                for row in board.rows:
                    yield board, dataset, row


class _Reader:
    """The examples of one run, and the pictures made of them."""

    def __init__(self, path: Path, record: RunRecord, task: str) -> None:
        self.path, self.record, self.task = path, record, task
        self.pictures: dict[str, bytes] = {}

    def examples(
        self, size_of: Callable[[str], Size | None]
    ) -> Iterator[tuple[str, Size, dict[str, Any], dict[str, Any]]]:
        """Image, size of its frame, frame and truth, and the prediction.

        Args:
            size_of: size of the frame of an image that is known already, whose frame and truth are
                not read again.
        """
        listed = self.record.examples
        stored = StoredExamples(self.path, listed.file, listed.sha256, self.task == "detection")
        for index, image in enumerate(stored.images):
            known = size_of(image)
            about = {} if known else self._about(stored, index)
            size = known or stored.frame_size(index)
            yield image, size, about, self._prediction(stored, index, size)

    def _about(self, stored: StoredExamples, index: int) -> dict[str, Any]:
        about: dict[str, Any] = {"frame": self._keep(frame_picture(stored.read("frame", index)))}
        if self.task == "segmentation":
            about["truth"] = self._keep(mask_picture(stored.read("truth", index)))
        elif self.task == "detection":
            about["truth_boxes"] = _rounded(stored.read("truth", index)[:, :4])
        return about

    def _prediction(self, stored: StoredExamples, index: int, size: Size) -> dict[str, Any]:
        prediction = stored.read("prediction", index)
        if self.task == "segmentation":
            return {"mask": self._keep(mask_picture(prediction))}
        if self.task == "denoising":
            return {"picture": self._keep(frame_picture(prediction))}
        confident = prediction[prediction[:, 5] >= SCORE_THRESHOLD][:, [0, 1, 2, 3, 5]]
        height, width = (to / own for to, own in zip(size, stored.frame_size(index)))
        return {"boxes": _rounded(confident * np.array([width, height, width, height, 1]))}

    def _keep(self, picture: Picture) -> str:
        self.pictures[picture.name] = picture.content
        return picture.name


def _rounded(boxes: np.ndarray) -> list[list[float]]:
    return boxes.astype(np.float64).round(_DIGITS).tolist()


def _scores(table: Mapping[str, list[Any]], image: str, metrics: list[str]) -> dict[str, float]:
    if image not in table["image"]:
        return {}
    index = table["image"].index(image)
    values = {metric: table[metric][index] for metric in metrics if metric in table}
    return {metric: value for metric, value in values.items() if math.isfinite(value)}
