"""Do published and measured numbers put the methods into the same order?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.compare.side_by_side import Pair, PairedTable
from leaderboard.statistics import average_rank, competition_ranks


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Agreement of two orders of the same rows.

    Attributes:
        what: the column, or the average rank and over how many columns it is taken.
        n: number of rows with both numbers.
        spearman, kendall: Spearman's ρ and Kendall's τ-b, -1 … 1; None for fewer than three rows,
            and where all numbers of one side are equal.
    """

    what: str
    n: int
    spearman: float | None
    kendall: float | None


def rank_correlations(table: PairedTable) -> list[RankCorrelation]:
    """Per column of scores, and over the average ranks where there are several columns.

    Columns without any pair are left out. The average ranks are those of the rows that are
    complete on both sides, among themselves, over the columns with a pair.
    """
    both = [
        {pair.column.id: pair for pair in row.pairs if pair.difference is not None}
        for row in table.rows
    ]
    columns = [
        column
        for column in table.columns
        if column.score and any(column.id in pairs for pairs in both)
    ]
    found = []
    for column in columns:
        pairs = [pairs[column.id] for pairs in both if column.id in pairs]
        found.append(_correlate(column.title, *_means(pairs)))
    if len(columns) > 1:
        complete = [
            [pairs[column.id] for column in columns]
            for pairs in both
            if all(column.id in pairs for column in columns)
        ]
        ranks = _average_ranks(complete, [column.higher_is_better for column in columns])
        found.append(_correlate(f"Average rank over {len(columns)} columns", *ranks))
    return found


def _means(pairs: Sequence[Pair]) -> tuple[list[float], list[float]]:
    """Published and measured means."""
    return [pair.published.mean for pair in pairs], [pair.measured.mean for pair in pairs]


def _average_ranks(
    rows: Sequence[Sequence[Pair]], higher: Sequence[bool]
) -> tuple[list[float], list[float]]:
    """Published and measured average rank of every row."""
    if not rows:
        return [], []
    by_column = [_means(column) for column in zip(*rows)]
    averaged = []
    for side in zip(*by_column):
        ranks = [competition_ranks(means, up) for means, up in zip(side, higher)]
        averaged.append([average.mean for average in average_rank(list(zip(*ranks)))])
    return averaged[0], averaged[1]


def _correlate(what: str, published: list[float], measured: list[float]) -> RankCorrelation:
    n = len(published)
    if n < 3 or np.ptp(published) == 0 or np.ptp(measured) == 0:
        return RankCorrelation(what, n, None, None)
    from scipy import stats

    spearman = float(stats.spearmanr(published, measured).statistic)
    kendall = float(stats.kendalltau(published, measured).statistic)
    return RankCorrelation(what, n, spearman, kendall)
