"""Tests over images: more powerful than those over a few seeds, but for another question.

They ask whether the difference between the given trained models would hold on other patients; the
tests over seeds ask whether it would hold for retrained models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmark.errors import InputError
from benchmark.results import path_of, read_scores
from benchmark.results.store import placed_line
from benchmark.results.validation import MEAN_OVER_IMAGES
from leaderboard.board import Board, PerImage, Row
from leaderboard.build import Leaderboard
from leaderboard.columns import Column
from leaderboard.comparable import settings_agree
from leaderboard.resampling import paired_bootstrap, sign_flip

Item = TypeVar("Item")

#: Reads the scores of (method, dataset, seed), column by column.
Reader = Callable[[str, str, int], Mapping[str, list[Any]]]


def with_per_image_tests(
    leaderboard: Leaderboard,
    paths: Mapping[Path, Path],
    draws: int = 10_000,
    progress: Callable[[list[Item]], Iterable[Item]] = iter,
) -> Leaderboard:
    """Add to every board the tests over images against its reference.

    Scores of an image are averaged over the seeds that both methods have, then compared over the
    images that both were scored on; where patients are known, they are the resampling unit. Metrics
    that are not a mean over images (mAP) have no such test, nor have cells whose settings differ
    from the reference's, or with a run whose scores cannot be read: the file is named among the
    problems.

    Args:
        paths: place of a run (`path_of`) → file of its record.
        progress: wraps the list of (board, row) to show progress.

    Raises:
        InputError: the scores of two methods name different patients for one image.
    """

    # The reference is needed for every other row: a few hundred runs are a few MB each.
    @lru_cache(maxsize=256)
    def read(method: str, dataset: str, seed: int) -> Mapping[str, list[Any]]:
        place = places[method, dataset, seed]
        try:
            return read_scores(paths[place])
        except InputError as error:
            problems.append(placed_line(paths[place], place, str(error)))
            return {}

    problems: list[str] = []
    places = {(r.method, r.dataset, r.seed): path_of(r) for r in leaderboard.records}
    work = [
        (board, row)
        for board in leaderboard.boards
        for row in board.rows
        if board.row(board.reference) and row.id != board.reference and row.source is None
    ]
    tests: dict[str, dict[tuple[str, str], PerImage]] = {b.id: {} for b in leaderboard.boards}
    for board, row in progress(work):
        for column, test in _tests(board, row, read, draws):
            tests[board.id][row.id, column.id] = test
    boards = tuple(replace(board, per_image=tests[board.id]) for board in leaderboard.boards)
    return replace(leaderboard, boards=boards).with_problems(dict.fromkeys(problems))


def _tests(board: Board, row: Row, read: Reader, draws: int) -> Iterator[tuple[Column, PerImage]]:
    """The test of a row against the reference in every column with per-image scores of both."""
    reference = board.row(board.reference)
    for column, cell, reference_cell in zip(board.columns, row.cells, reference.cells):
        # Other metrics (average precision) are not means of their values per image, which may even
        # order methods the other way round.
        if cell is None or reference_cell is None or MEAN_OVER_IMAGES not in column.definition:
            continue
        if not settings_agree(cell.conditions, reference_cell.conditions):
            continue
        seeds = tuple(sorted(cell.values.keys() & reference_cell.values.keys()))
        a = _mean_scores(read, row.method, column, seeds)
        b = _mean_scores(read, reference.method, column, seeds)
        images = [image for image in a if image in b]
        if not images:
            continue
        for image in images:
            if a[image][1] != b[image][1]:
                raise InputError(
                    f"{column.dataset}: image {image} is of patient {a[image][1]} in the scores of "
                    f"{row.method} and of {b[image][1]} in those of {reference.method}"
                )
        differences = np.array([a[image][0] - b[image][0] for image in images])
        # An image of an unknown patient is resampled by itself.
        patients = [a[image][1] or "" for image in images]
        bootstrap = paired_bootstrap(differences, patients, draws)
        yield column, PerImage(bootstrap, sign_flip(differences, patients, draws), seeds)


def _mean_scores(
    read: Reader, method: str, column: Column, seeds: Iterable[int]
) -> dict[str, tuple[float, str | None]]:
    """Image → (mean score over the seeds, patient); skips images that lack one of the scores."""
    values: dict[str, list[float]] = {}
    patients: dict[str, str | None] = {}
    count = 0
    for seed in seeds:
        table = read(method, column.dataset, seed)
        if column.metric not in table:
            return {}
        count += 1
        for image, value in zip(table["image"], table[column.metric]):
            values.setdefault(image, []).append(value)
        patients.update(zip(table["image"], table.get("patient", [None] * len(table["image"]))))
    return {
        image: (math.fsum(scores) / count, patients[image])
        for image, scores in values.items()
        if len(scores) == count and all(map(math.isfinite, scores))
    }
