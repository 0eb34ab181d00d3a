"""One board: the rows and columns of one table, with their ranks, marks and tests.

A board is a pure function of its scores, measured here or published elsewhere. Numbers that were
not obtained in the same way never meet in a rank or a test: see `leaderboard.measured` for what is
refused, and `Row.context` for published rows beside measured ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from leaderboard.omnibus import Friedman, friedman
from leaderboard.pairwise import Pairs, pairwise_t
from leaderboard.resampling import Bootstrap, rank_intervals
from leaderboard.statistics import (
    Summary,
    average_rank,
    competition_ranks,
    mean_interval,
    separable_from_best,
)

#: Order of the columns, as in the journal's tables; what is not named here follows, by name.
DATASET_TITLES = {
    "arcade_v": "ARCADE-V",
    "caxf": "CAXF",
    "xcav": "XCAV",
    "arcade_s": "ARCADE-S",
    "arcade_vs": "ARCADE-VS",
    "stenosis": "Stenosis",
    "denoising": "Denoising",
    "dca1": "DCA1",
    "synthetic_v": "Synthetic-V",
    "synthetic_s": "Synthetic-S",
    "synthetic_vs": "Synthetic-VS",
    "synthetic_d": "Synthetic-D",
    "synthetic_n": "Synthetic-N",
}
#: Metric → (name as printed, unit), in the order of the columns; others are in percent.
METRICS = {
    "dsc": ("DSC", "%"),
    "cldice": ("clDice", "%"),
    "map50": ("mAP50", "%"),
    "map75": ("mAP75", "%"),
    "map": ("mAP", "%"),
    "psnr": ("PSNR", "dB"),
    "ssim": ("SSIM", "%"),
    "silhouette": ("Silhouette", ""),
    "calinski_harabasz": ("Calinski–Harabasz", ""),
    "davies_bouldin": ("Davies–Bouldin", ""),
}

#: A data set of which a share of the training labels was used: ``arcade_v-10pct``.
_SHARE = re.compile(r"(?P<base>.+)-(?P<share>\d+(\.\d+)?)pct")


def label_share(dataset: str) -> tuple[str, float]:
    """The data set behind an id and the share of its labels: ``xcav-10pct`` → ``("xcav", 10.0)``.

    A data set with all its labels has the share 100.
    """
    found = _SHARE.fullmatch(dataset)
    return (found["base"], float(found["share"])) if found else (dataset, 100.0)


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of one data set."""

    dataset: str
    metric: str
    definition: str
    higher_is_better: bool

    @property
    def id(self) -> str:
        return f"{self.dataset}/{self.metric}"

    @property
    def label(self) -> str:
        """The metric as printed."""
        return METRICS.get(self.metric, (self.metric, "%"))[0]

    @property
    def unit(self) -> str:
        """``"%"``, ``"dB"``, or ``""`` for an index without one."""
        return METRICS.get(self.metric, (self.metric, "%"))[1]

    @property
    def dataset_title(self) -> str:
        """The data set as printed."""
        base, share = label_share(self.dataset)
        title = DATASET_TITLES.get(base, base)
        return title if base == self.dataset else f"{title}, {share:g} %"

    @property
    def title(self) -> str:
        return f"{self.dataset_title} {self.label}"


def column_order(column: Column) -> tuple[object, ...]:
    """Sorts columns: data set, share of its labels, metric."""
    base, share = label_share(column.dataset)
    return (
        *_place(base, list(DATASET_TITLES)),
        share,
        column.dataset,
        *_place(column.metric, list(METRICS)),
    )


def _place(value: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(value) if value in order else len(order), value)


@dataclass(frozen=True, slots=True)
class Score:
    """What is known of one row in one column: values by seed where measured, else a summary."""

    summary: Summary
    values: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cell:
    """One row in one column.

    Attributes:
        summary: mean and sample standard deviation over the seeds, in the metric's units.
        values: seed → value, by ascending seed; empty for published numbers.
        interval: 95 % t-interval of the mean over the seeds; None for fewer than two values.
        place: rank among all rows of the pool with this cell (marks the best and the second in
            print); 0 outside the pool.
        rank: rank among the complete rows of the pool; None for another row.
        tier: 1 for the best of its column and what is not separable from it by the paired t-test
            after Holm's correction, 2 for what is; None where that is not defined.
    """

    summary: Summary
    values: Mapping[int, float]
    interval: tuple[float, float] | None
    place: int
    rank: int | None
    tier: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One method; `cells` follow the board's columns, None where there is no number.

    Attributes:
        id: unique on its board; the method's id where it was measured here.
        source: citation of published numbers; None where they were measured here.
        context: shown for orientation only, without rank, mark and test.
        rank_interval: 95 % bootstrap interval of the average rank over the columns, or None.
    """

    id: str
    method: str
    title: str
    family: str
    pretraining: str
    paper: str | None = None
    source: str | None = None
    context: bool = False
    cells: tuple[Cell | None, ...] = ()
    average_rank: Summary | None = None
    rank_interval: tuple[float, float] | None = None

    @property
    def complete(self) -> bool:
        return None not in self.cells


# Told apart by identity, so that what is computed from a board can be kept.
@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """One table and its tests.

    Attributes:
        id, title, task: what it is about; `task` is that of its records.
        protocol: how its numbers were obtained; boards of different ones do not compare.
        analysis: None for the board of a task, else what of (`leaderboard.analyses`, ``"labels"``).
        reference: row that every other one is tested against.
        columns, rows: in the order of print.
        pairs: every ordered pair of rows of the pool in every column: tests over common seeds.
        overall_pairs: the same over the means of the columns in percent, complete rows only.
        friedman: Friedman's test of the complete rows of the pool, in their order, over the first
            metric of every data set; None for fewer than two rows.
        per_image: (row, column id) → test of that row against the reference over images; filled in
            on request.
        notes: what a reader of this board has to know beside what all boards share.
    """

    id: str
    title: str
    task: str
    protocol: str
    analysis: str | None
    reference: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    pairs: tuple[Pairs, ...]
    overall_pairs: Pairs
    friedman: Friedman | None
    per_image: Mapping[tuple[str, str], PerImage] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """``"measured"``, ``"published"`` or ``"both"``."""
        origins = {"measured" if row.source is None else "published" for row in self.rows}
        return origins.pop() if len(origins) == 1 else "both"

    def row(self, name: str) -> Row | None:
        """The row with this id."""
        return next((row for row in self.rows if row.id == name), None)


@dataclass(frozen=True, slots=True)
class PerImage:
    """A row against the reference over the images both were scored on.

    Attributes:
        bootstrap: mean difference and its 95 % interval, resampling patients where they are known.
        p: two-sided p-value of the sign-flip test.
        seeds: seeds over which the scores of an image were averaged first.
    """

    bootstrap: Bootstrap
    p: float
    seeds: tuple[int, ...]


def make_board(
    rows: Sequence[Row],
    scores: Mapping[str, Mapping[Column, Score]],
    *,
    name: str,
    title: str,
    task: str,
    protocol: str,
    reference: str,
    analysis: str | None = None,
    columns: Sequence[Column] | None = None,
    keep_order: bool = False,
    notes: Sequence[str] = (),
) -> Board:
    """Rank and test the rows of one table.

    Ranks are taken per column among the complete rows (ties share the better rank). Rows are
    sorted by their average rank, then incomplete ones and those for context, each by title.

    Args:
        rows: who is on the board, without cells.
        scores: row id → column → score.
        columns: (default: those of any row that is not for context, in the fixed order).
        keep_order: leave the rows in the order given, as the papers print their ablations.
    """
    pool = [row for row in rows if not row.context]
    if columns is None:
        found = {column for row in pool for column in scores[row.id]}
        columns = sorted(found, key=column_order)
    complete = {row.id for row in pool if all(column in scores[row.id] for column in columns)}
    cells = {row.id: [] for row in rows}
    for column in columns:
        _fill_column(cells, rows, column, scores, complete)
    averages = average_rank([[cell and cell.rank for cell in cells[row.id]] for row in rows])
    whole = [row for row in rows if row.id in complete]
    means = np.array([[scores[row.id][c].summary.mean for c in columns] for row in whole])
    higher = [column.higher_is_better for column in columns]
    datasets = [column.dataset for column in columns]
    intervals = rank_intervals(means, higher, datasets=datasets).tolist() if len(whole) > 1 else []
    limits = {row.id: (low, high) for row, (low, high) in zip(whole, intervals) if low <= high}
    filled = [
        replace(
            row,
            cells=tuple(cells[row.id]),
            average_rank=average,
            rank_interval=limits.get(row.id),
        )
        for row, average in zip(rows, averages)
    ]
    filled = filled if keep_order else sorted(filled, key=_by_rank)
    return Board(
        id=name,
        title=title,
        task=task,
        protocol=protocol,
        analysis=analysis,
        reference=reference,
        columns=tuple(columns),
        rows=tuple(filled),
        pairs=tuple(_pairs(filled, column, scores) for column in columns),
        overall_pairs=_overall_pairs(filled, columns),
        # In the order of print, which is that of its mean ranks and groups.
        friedman=_friedman([row for row in filled if row.id in complete], columns),
        notes=tuple(notes),
    )


def _by_rank(row: Row) -> tuple[object, ...]:
    average = row.average_rank
    mean = average.mean if average else math.inf
    return (row.context, average is None, mean, row.title, row.id)


def _fill_column(
    cells: dict[str, list[Cell | None]],
    rows: Sequence[Row],
    column: Column,
    scores: Mapping[str, Mapping[Column, Score]],
    complete: set[str],
) -> None:
    """Append the cell of every row in one column."""
    found = [scores[row.id].get(column) for row in rows]
    ranked = [None if row.context else score for row, score in zip(rows, found)]
    means = [score and score.summary.mean for score in ranked]
    pool = [mean if row.id in complete else None for row, mean in zip(rows, means)]
    places = competition_ranks(means, column.higher_is_better)
    ranks = competition_ranks(pool, column.higher_is_better)
    seeded = [score.values if score and score.values else None for score in ranked]
    tiers = separable_from_best(seeded, column.higher_is_better)
    for row, score, place, rank, tier in zip(rows, found, places, ranks, tiers):
        cell = None
        if score is not None:
            values = dict(sorted(score.values.items()))
            interval = mean_interval(list(values.values())) if values else None
            cell = Cell(score.summary, values, interval, place or 0, rank, tier)
        cells[row.id].append(cell)


def _pairs(
    rows: Sequence[Row], column: Column, scores: Mapping[str, Mapping[Column, Score]]
) -> Pairs:
    measured = {}
    for row in rows:
        score = None if row.context else scores[row.id].get(column)
        if score is not None and score.values:
            measured[row.id] = score.values
    return pairwise_t(measured)


def _overall_pairs(rows: Sequence[Row], columns: Sequence[Column]) -> Pairs:
    """The papers' overall test: pairs are the means of the columns, so a "seed" is a column here.

    Only columns in percent: decibels do not add up with percentages. Turned so that a positive
    difference speaks for the row in every column.
    """
    chosen = [index for index, column in enumerate(columns) if column.unit == "%"]
    if len(chosen) < 2:
        return {}
    signs = {index: 1 if columns[index].higher_is_better else -1 for index in chosen}
    means = {
        row.id: {index: signs[index] * row.cells[index].summary.mean for index in chosen}
        for row in rows
        if row.complete and not row.context
    }
    return pairwise_t(means)


def _friedman(rows: Sequence[Row], columns: Sequence[Column]) -> Friedman | None:
    """One column per data set, its first metric: the test takes its blocks for independent."""
    if len(rows) < 2:
        return None
    first = {column.dataset: index for index, column in reversed(list(enumerate(columns)))}
    chosen = sorted(first.values())
    means = np.array([[row.cells[index].summary.mean for index in chosen] for row in rows])
    return friedman(means, [columns[index].higher_is_better for index in chosen])
