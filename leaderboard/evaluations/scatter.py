"""Do scores of frozen features predict those after fine-tuning?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from benchmark.results import DatasetId
from leaderboard.board import Score
from leaderboard.columns import Column, column_order, dataset_title
from leaderboard.evaluations.pretraining_seeds import repeated
from leaderboard.measured import Measured
from leaderboard.statistics import Summary, mid_ranks, p_text, summarize

TITLE = "Frozen features against fine-tuning"

#: Up to so many points the p-value is exact.
_EXACT = 8


@dataclass(frozen=True, slots=True)
class Spearman:
    """Spearman's rank correlation of n pairs.

    Attributes:
        rho, p: -1 … 1, and its two-sided p-value; None for fewer than three pairs, and where all
            values of one side are equal.
        exact: whether p is exact, else an approximation.
    """

    n: int
    rho: float | None = None
    p: float | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """One method: scores with the encoder frozen and after fine-tuning, each as `_over_seeds`."""

    method: str
    title: str
    frozen: Summary
    fine_tuned: Summary


@dataclass(frozen=True, slots=True)
class Scatter:
    """Frozen against fine-tuned scores.

    Attributes:
        metric: as printed.
        unit: of both scores.
        datasets: titles of the datasets that the means are over.
        points: by ascending fine-tuned score.
        skipped: titles of methods that have both scores, but not on all of these datasets.
    """

    metric: str
    unit: str
    datasets: tuple[str, ...]
    points: tuple[Point, ...]
    skipped: tuple[str, ...]
    correlation: Spearman

    @property
    def notes(self) -> tuple[str, ...]:
        """What is shown, and what the correlation says."""
        test = self.correlation
        words = (
            f"{self.metric} of a linear layer on frozen features against that after fine-tuning, "
            f"both with all labels: means over {', '.join(self.datasets)}, the datasets on which "
            "all methods shown have both."
        )
        words += " ± and bars: standard deviation over the seeds that a method has on all of them."
        if self.skipped:
            words += f" Skipped, because one of these scores is missing: {', '.join(self.skipped)}."
        if test.rho is None:
            return (words, f"Spearman's ρ is not defined for these n = {test.n} methods.")
        how = "exact permutation test" if test.exact else "t approximation"
        result = f"Spearman's ρ = {test.rho:.2f}, {p_text(test.p)}, n = {test.n} methods ({how})."
        return (words, result)


def make_scatter(measured: Measured) -> Scatter | None:
    """The scores of the methods that have both; None without any.

    Averages the first metric over the datasets that most methods have in both ways; of several such
    choices the one with the most datasets.
    """
    both = {method: pairs for method in measured.rows if (pairs := _pairs(measured, method))}
    again = repeated(both)
    both = {method: pairs for method, pairs in both.items() if method not in again}
    known = sorted({c for pairs in both.values() for c in pairs}, key=column_order)
    if not known:
        return None
    has = {
        method: frozenset(column for column in pairs if column.metric == known[0].metric)
        for method, pairs in both.items()
    }

    def shown(columns: frozenset[Column]) -> list[str]:
        return [method for method, own in has.items() if columns and own >= columns]

    # The first of equals in the order of the columns, so that the order of methods is irrelevant.
    choices = sorted(set(has.values()), key=lambda choice: sorted(map(column_order, choice)))
    chosen = max(choices, key=lambda choice: (len(shown(choice)), len(choice)))
    columns = sorted(chosen, key=column_order)
    points = []
    for method in shown(chosen):
        scores = map(_over_seeds, zip(*(both[method][column] for column in columns)))
        points.append(Point(method, measured.rows[method].title, *scores))
    points.sort(key=lambda point: (point.fine_tuned.mean, point.title))
    skipped = [measured.rows[m].title for m in has if has[m] and not has[m] >= chosen]
    return Scatter(
        columns[0].label,
        columns[0].unit,
        tuple(dataset_title(column.dataset) for column in columns),
        tuple(points),
        tuple(skipped),
        spearman([p.frozen.mean for p in points], [p.fine_tuned.mean for p in points]),
    )


def _over_seeds(scores: Sequence[Score]) -> Summary:
    """The mean over datasets of their means; its spread over the seeds that all datasets have."""
    mean = summarize([score.summary.mean for score in scores]).mean
    common = set.intersection(*(set(score.values) for score in scores))
    of_seeds = [summarize([score.values[seed] for score in scores]).mean for seed in common]
    spread = summarize(of_seeds).std if len(of_seeds) > 1 else None
    return Summary(mean, spread, len(of_seeds))


def _pairs(measured: Measured, method: str) -> dict[Column, tuple[Score, Score]]:
    """Column of fine-tuning → scores with the encoder frozen, and after fine-tuning."""
    scores = measured.scores[method]
    found = {}
    for column, tuned in scores.items():
        frozen = scores.get(replace(column, dataset=DatasetId(column.dataset, "linear").text))
        if column.main and column.score and frozen:
            found[column] = (frozen, tuned)
    return found


def spearman(x: Sequence[float], y: Sequence[float]) -> Spearman:
    """Spearman's ρ with the p-value of all permutations, or for many pairs of its t approximation.

    The approximation may be smaller than any permutation can be, 2 / n!, which is its lower bound.
    """
    n = len(x)
    if n < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Spearman(n)
    a, b = (ranks - ranks.mean() for ranks in map(mid_ranks, map(np.asarray, (x, y))))
    scale = math.sqrt((a @ a) * (b @ b))
    rho = float(a @ b) / scale
    if n <= _EXACT:
        orders = np.array(list(itertools.permutations(range(n))))
        # Ranks are multiples of a half: the margin only absorbs rounding.
        as_extreme = np.abs(b[orders] @ a) >= abs(a @ b) - 1e-6
        return Spearman(n, rho, float(as_extreme.mean()), exact=True)
    rest = max(1 - rho * rho, 0)
    t = abs(rho) * math.sqrt((n - 2) / rest) if rest else math.inf
    p = max(float(2 * special.stdtr(n - 2, -t)), 2 / math.factorial(n))
    return Spearman(n, rho, p)
