"""Friedman's test over the columns of a board and the critical-difference diagram.

After Demšar, Statistical comparisons of classifiers over multiple datasets (JMLR 7, 2006).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from leaderboard.statistics import ALPHA, mid_ranks, tie_term


@dataclass(frozen=True, slots=True)
class Friedman:
    """Friedman's test that all rows are equal, with Nemenyi's critical difference.

    Attributes:
        n: number of columns (blocks).
        k: number of rows (methods).
        statistic: χ² with k - 1 degrees of freedom, corrected for ties; None if undefined.
        p: its p-value; None where undefined, and `note` then says why.
        mean_ranks: per row the mean over columns of its rank, 1 for the best. Ties get the mean of
            the ranks they occupy, as the test requires; in the average ranks printed on the board
            they share the better rank, so the two differ where there are ties. Empty without
            columns.
        critical_difference: mean ranks that differ by at least this are significantly different in
            Nemenyi's test of all pairs at level 0.05; None where the test is undefined.
        groups: the bars of the diagram: every maximal set of two or more rows (positions, best
            first) whose mean ranks lie within less than the critical difference. Sets overlap.
        note: ``""``, why the test is undefined, or that it does not reject equality: then Demšar
            does not compare pairs, and gaps between groups are no findings.
    """

    n: int
    k: int
    statistic: float | None
    p: float | None
    mean_ranks: tuple[float, ...]
    critical_difference: float | None
    groups: tuple[tuple[int, ...], ...]
    note: str = ""


def oriented(means: np.ndarray, higher: Sequence[bool]) -> np.ndarray:
    """A complete table of means (rows, columns), signed such that higher is better in every column.

    Args:
        higher: per column whether higher is better.
    """
    return np.where(np.asarray(higher, dtype=bool), means, np.negative(means))


# Not from scipy.stats, which takes longer to import than the complete board to build.
@lru_cache(maxsize=64)
def _nemenyi_q(k: int) -> float:
    """Upper 5 % point of the studentized range of k means, infinite degrees of freedom, / sqrt 2.

    The range of k standard normal values is below q with probability
    k ∫ φ(z) [Φ(z) - Φ(z - q)]^(k - 1) dz. The trapezoid rule is exact to rounding for an integrand
    this smooth that vanishes at both ends; the root is found by bisection.
    """
    step = 0.05
    z = np.arange(-9.0, 9.0 + step, step)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    below = special.ndtr(z)
    low, high = 0.0, 20.0
    while high - low > 1e-13 * high:
        q = (low + high) / 2
        inside = (density * (below - special.ndtr(z - q)) ** (k - 1)).sum() * step * k
        low, high = (q, high) if inside < 1 - ALPHA else (low, q)
    return (low + high) / 2 / math.sqrt(2)


def _groups(mean_ranks: np.ndarray, critical_difference: float) -> tuple[tuple[int, ...], ...]:
    """The maximal runs of rows in order of mean rank; see `Friedman.groups`."""
    order = [int(row) for row in np.argsort(mean_ranks, kind="stable")]
    groups, covered = [], 0
    for start, best in enumerate(order):
        near = [
            row for row in order[start:] if mean_ranks[row] - mean_ranks[best] < critical_difference
        ]
        if len(near) > 1 and start + len(near) > covered:
            groups.append(tuple(near))
            covered = start + len(near)
    return tuple(groups)


def friedman(means: np.ndarray, higher: Sequence[bool]) -> Friedman:
    """Friedman's test over columns, Nemenyi's critical difference and the groups of the diagram.

    The columns count as independent blocks. Metrics of one dataset are not: the p-value is valid
    with one column per dataset. The χ² approximation is rough for few columns, and mean ranks
    depend on which other rows are compared.

    Args:
        means: (rows, columns) means of the complete rows; ties are exactly equal values.
        higher: per column whether higher is better.
    """
    scores = oriented(means, higher)
    k, n = scores.shape
    ranks = [mid_ranks(-column) for column in scores.T] if k else []
    mean_ranks = np.sum(ranks, axis=0) / n if ranks else np.zeros(0)
    rank_of_row = tuple(float(rank) for rank in mean_ranks)
    too_few = "fewer than 3 rows" if k < 3 else "fewer than 2 columns" if n < 2 else ""
    if too_few:
        return Friedman(n, k, None, None, rank_of_row, None, (), f"{too_few}: not tested")
    untied = 1 - math.fsum(map(tie_term, ranks)) / (n * k * (k * k - 1))
    critical_difference = _nemenyi_q(k) * math.sqrt(k * (k + 1) / (6 * n))
    groups = _groups(mean_ranks, critical_difference)
    if not untied:
        note = "all rows are equal in every column"
        return Friedman(n, k, None, None, rank_of_row, critical_difference, groups, note)
    deviations = mean_ranks - (k + 1) / 2
    statistic = 12 * n / (k * (k + 1)) * math.fsum(deviations**2) / untied
    p = float(special.chdtrc(k - 1, statistic))
    note = "" if p < ALPHA else f"equal rows are not rejected at {ALPHA:g}: gaps are no findings"
    return Friedman(n, k, statistic, p, rank_of_row, critical_difference, groups, note)
