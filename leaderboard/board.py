"""One board: the rows and columns of one table, with their ranks, marks and tests.

A board is a pure function of its scores, measured here or published elsewhere. Numbers that were
not obtained in the same way are never ranked or tested together: see `leaderboard.comparable` for
what is refused, and `Row.context` for published rows beside measured ones.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from leaderboard.columns import Column, column_order
from leaderboard.comparable import Conditions, settings_agree
from leaderboard.evaluations.details import Detail
from leaderboard.evaluations.kinds import EVALUATIONS
from leaderboard.omnibus import Friedman, friedman
from leaderboard.resampling import Bootstrap, rank_intervals
from leaderboard.statistics import (
    Pairs,
    Summary,
    average_rank,
    competition_ranks,
    mean_interval,
    pairwise_t,
    tiers,
)


@dataclass(frozen=True, slots=True)
class Score:
    """Score of one row in one column.

    `values` (seed → value) are empty, and `conditions` None, where published.
    """

    summary: Summary
    values: Mapping[int, float] = field(default_factory=dict)
    conditions: Conditions | None = None


#: Row id → column → score.
Scores = Mapping[str, Mapping[Column, Score]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One row in one column.

    Attributes:
        summary: mean and sample standard deviation over the seeds, in the metric's units.
        values: seed → value, by ascending seed; empty for published numbers.
        interval: 95 % t-interval of the mean over the seeds; None for fewer than two values.
        place: rank among all competing rows with this cell (marks the best and the second in
            print); 0 for a context row, and in a column that is not a score.
        rank: rank among the complete competing rows; None for another row.
        tier: 1 for the best of its column and what is not separable from it by the paired t-test
            after Holm's correction, 2 for the rest; None where that is not defined.
        conditions: how the values were obtained; None for published numbers.
    """

    summary: Summary
    values: Mapping[int, float]
    interval: tuple[float, float] | None
    place: int
    rank: int | None
    tier: int | None
    conditions: Conditions | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One method; `cells` follow the board's columns, None where there is no number.

    Attributes:
        id: unique on its board; the method's id where it was measured here.
        source: citation of published numbers; None where they were measured here.
        context: shown for orientation only, without ranks, marks and tests; all other rows compete.
        rank_interval: 95 % bootstrap interval of the average rank over the datasets, or None.
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

    @property
    def origin(self) -> str:
        """``"measured"`` or ``"published"``."""
        return "measured" if self.source is None else "published"


# Compared by identity, so that what is computed from a board can be cached.
@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """One table and its tests.

    Attributes:
        id, title, task: what it is about; `task` is that of its records.
        protocol: how its numbers were obtained; boards of different ones do not compare.
        analysis: None for the board of a task, else its analysis (`leaderboard.analyses`, or
            ``"labels"``) or its evaluation (a key of `EVALUATIONS`).
        reference: row that every other one is tested against.
        columns, rows: in the order of print.
        pairs: per column the tests of every ordered pair of competing rows, over common seeds.
        column_pairs: the papers' overall test: the same over the means of the columns in percent,
            complete rows only.
        dataset_pairs: the overall test: over datasets, on the mean of the percent columns of each.
        friedman: Friedman's test of the complete competing rows, in their order, over the first
            metric of every dataset; None for fewer than two rows.
        per_image: (row, column id) → test of that row against the reference over images; filled in
            on request.
        notes: what a reader has to know about this board, beside the notes of all boards.
        details: further tables of the same rows.
        curves: drawn beside those of the columns, see `leaderboard.curves.curves`.
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
    column_pairs: Pairs
    dataset_pairs: Pairs
    friedman: Friedman | None
    per_image: Mapping[tuple[str, str], PerImage] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    details: tuple[Detail, ...] = ()
    curves: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_evaluation(self) -> bool:
        """Whether it shows another evaluation than fine-tuning with all labels."""
        return self.analysis in EVALUATIONS

    @property
    def ranks_methods(self) -> bool:
        """Whether its rows are the methods, and not the variants of an analysis."""
        return self.analysis is None or self.is_evaluation

    @property
    def origin(self) -> str:
        """``"measured"``, ``"published"`` or ``"both"``."""
        origins = {row.origin for row in self.rows}
        return origins.pop() if len(origins) == 1 else "both"

    @property
    def ranked(self) -> tuple[int, int]:
        """How many rows have an average rank, and how many compete for one."""
        competing = [row for row in self.rows if not row.context]
        return sum(row.average_rank is not None for row in competing), len(competing)

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
    scores: Scores,
    *,
    name: str,
    title: str,
    task: str,
    protocol: str,
    reference: str,
    analysis: str | None = None,
    keep_order: bool = False,
    notes: Sequence[str] = (),
) -> Board:
    """Rank and test the rows of one table.

    Columns are those of the competing rows. Ranks are taken per column of scores among the complete
    rows, which have them all (ties share the better rank). Rows are sorted by their average rank,
    then incomplete ones and those for context, each by title.

    Args:
        rows: the rows of the board, without cells.
        scores: row id → column → score.
        name, title, task, protocol, reference, analysis, notes: attributes of the board, `name` its
            id.
        keep_order: leave the rows in the order given, as the papers print their ablations.
    """
    competing = {row.id: scores[row.id] for row in rows if not row.context}
    found = {column for cells in competing.values() for column in cells}
    columns = sorted(found, key=column_order)
    scored = [column for column in columns if column.score]
    complete = [row for row, cells in competing.items() if scored and cells.keys() >= set(scored)]
    pairs = [_pairs(competing, column) if column.score else {} for column in columns]
    by_column = [_cells(rows, c, scores, complete, p) for c, p in zip(columns, pairs)]
    intervals = _rank_intervals([competing[row] for row in complete], scored)
    interval_of = dict(zip(complete, intervals))
    filled = []
    for index, row in enumerate(rows):
        cells = tuple(column[index] for column in by_column)
        ranks = [cell and cell.rank for cell, column in zip(cells, columns) if column.score]
        (average,) = average_rank([ranks])
        interval = interval_of.get(row.id)
        filled.append(replace(row, cells=cells, average_rank=average, rank_interval=interval))
    if not keep_order:
        filled.sort(key=_print_order)
    ranked = [row for row in filled if row.id in interval_of]
    return Board(
        id=name,
        title=title,
        task=task,
        protocol=protocol,
        analysis=analysis,
        reference=reference,
        columns=tuple(columns),
        rows=tuple(filled),
        pairs=tuple(pairs),
        column_pairs=_overall_pairs(ranked, columns, lambda column: column.id),
        dataset_pairs=_overall_pairs(ranked, columns, lambda column: column.dataset),
        # In the order of print, which is that of its mean ranks and groups.
        friedman=_friedman(ranked, columns),
        notes=tuple(notes),
    )


def _print_order(row: Row) -> tuple[object, ...]:
    average = row.average_rank
    mean = average.mean if average else math.inf
    return (row.context, average is None, mean, row.title, row.id)


def _pairs(competing: Scores, column: Column) -> Pairs:
    scores = {row: cells[column] for row, cells in competing.items() if column in cells}
    tests = pairwise_t({row: score.values for row, score in scores.items() if score.values})
    return _comparable_pairs(tests, {row: [score.conditions] for row, score in scores.items()})


def _comparable_pairs(tests: Pairs, conditions: Mapping[str, Sequence[Conditions | None]]) -> Pairs:
    """The tests, undefined for two rows whose settings differ in a column.

    Args:
        conditions: row → those of its cells.
    """
    if len({tuple(c and c.shared for c in of_row) for of_row in conditions.values()}) == 1:
        return tests  # the usual case, and thousands of pairs
    equal: dict[tuple[str, str], bool] = {}
    for pair in tests:
        of_both = zip(*(conditions[row] for row in pair))
        equal[pair] = equal.get(pair[::-1]) or all(settings_agree(a, b) for a, b in of_both)
    return {
        pair: test
        if equal[pair]
        else replace(test, ci_low=None, ci_high=None, p=None, note="other settings")
        for pair, test in tests.items()
    }


def _cells(
    rows: Sequence[Row], column: Column, scores: Scores, complete: Sequence[str], pairs: Pairs
) -> list[Cell | None]:
    """The cell of every row in one column."""
    in_column = [scores[row.id].get(column) for row in rows]
    means = [
        score.summary.mean if score and column.score and not row.context else None
        for row, score in zip(rows, in_column)
    ]
    of_complete = [mean if row.id in complete else None for row, mean in zip(rows, means)]
    places = competition_ranks(means, column.higher_is_better)
    ranks = competition_ranks(of_complete, column.higher_is_better)
    seeded = {
        row.id: score.summary.mean
        for row, score in zip(rows, in_column)
        if score and score.values and column.score and not row.context
    }
    tier_of = tiers(seeded, pairs, column.higher_is_better, column.digits)
    cells: list[Cell | None] = []
    for row, score, place, rank in zip(rows, in_column, places, ranks):
        if score is None:
            cells.append(None)
            continue
        values = dict(sorted(score.values.items()))
        interval = mean_interval(list(values.values())) if values else None
        tier = tier_of.get(row.id)
        found = (score.summary, values, interval, place or 0, rank, tier, score.conditions)
        cells.append(Cell(*found))
    return cells


def _rank_intervals(
    rows: Sequence[Mapping[Column, Score]], columns: Sequence[Column]
) -> list[tuple[float, float] | None]:
    """The bootstrap interval of the average rank of every complete row."""
    if len(rows) < 2:
        return [None] * len(rows)
    means = np.array([[cells[column].summary.mean for column in columns] for cells in rows])
    higher = [column.higher_is_better for column in columns]
    ends = rank_intervals(means, higher, [column.block for column in columns])
    return [None if math.isnan(low) else (low, high) for low, high in ends.tolist()]


def _overall_pairs(
    rows: Sequence[Row], columns: Sequence[Column], block: Callable[[Column], str]
) -> Pairs:
    """Tests over blocks of columns: pairs are the means of blocks, so a "seed" is a block here.

    Only columns in percent: decibels do not add up with percentages. Signed such that a positive
    difference favours the row in every column. Empty for fewer than two blocks.
    """
    blocks: dict[str, list[int]] = {}
    for index, column in enumerate(columns):
        if column.unit == "%":
            blocks.setdefault(block(column), []).append(index)
    if len(blocks) < 2:
        return {}

    def mean(row: Row, indices: Sequence[int]) -> float:
        signs = (1 if columns[index].higher_is_better else -1 for index in indices)
        means = (row.cells[index].summary.mean for index in indices)
        return math.fsum(map(operator.mul, signs, means)) / len(indices)

    tests = pairwise_t(
        {row.id: {k: mean(row, one) for k, one in enumerate(blocks.values())} for row in rows}
    )
    used = [index for indices in blocks.values() for index in indices]
    conditions = {row.id: [row.cells[index].conditions for index in used] for row in rows}
    return _comparable_pairs(tests, conditions)


def _friedman(rows: Sequence[Row], columns: Sequence[Column]) -> Friedman | None:
    """One column per dataset, its first metric: the test assumes independent blocks."""
    if len(rows) < 2:
        return None
    scored = [(index, column) for index, column in enumerate(columns) if column.score]
    chosen = sorted({column.block: index for index, column in reversed(scored)}.values())
    means = np.array([[row.cells[index].summary.mean for index in chosen] for row in rows])
    return friedman(means, [columns[index].higher_is_better for index in chosen])
