"""Friedman's test over the columns of a board and the critical-difference diagram.

After Demšar, Statistical comparisons of classifiers over multiple data sets (JMLR 7, 2006).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from benchmark.errors import InputError
from leaderboard.statistics import ALPHA, mid_ranks, tie_term


@dataclass(frozen=True, slots=True)
class Friedman:
    """Friedman's test that all rows are equal, with Nemenyi's critical difference.

    Attributes:
        n: number of columns (blocks).
        k: number of rows (methods).
        statistic: chi-square with k - 1 degrees of freedom, corrected for ties; None if undefined.
        p: its p-value; None where undefined, and `note` then says why.
        mean_ranks: per row the mean over columns of its rank, 1 for the best. Ties get the mean of
            the ranks they take up, as the test demands; the average ranks printed on the board let
            them share the better rank, so the two differ where there are ties. Empty without
            columns.
        critical_difference: mean ranks that differ by at least this differ at the level 0.05 in
            Nemenyi's test of all pairs; None where the test is undefined.
        groups: the bars of the diagram: every largest set of two or more rows (positions, best
            first) whose mean ranks lie within less than the critical difference. Sets overlap.
        note: ``""``, why the test is undefined, or that it does not reject equality: then Demšar
            makes no comparisons of pairs, and gaps between groups are no findings.
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
    """A complete table of means (rows, columns), turned so that more is better in every column.

    Args:
        higher: per column whether higher is better.

    Raises:
        InputError: not a table, one direction per column is not given, or a value is not finite.
    """
    table = np.asarray(means, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(higher):
        raise InputError(f"{len(higher)} columns need means (rows, columns), not {table.shape}")
    if not np.isfinite(table).all():
        raise InputError("ranks over columns need complete rows of finite means")
    return np.where(np.asarray(higher, dtype=bool), table, -table)


# Written out because scipy.stats, which has the studentised range, takes longer to import than the
# whole board to build.
@lru_cache(maxsize=64)
def _nemenyi_q(k: int) -> float:
    """Upper 5 % point of the studentised range of k means, infinite degrees of freedom, / sqrt 2.

    The range of k standard normal values is below q with probability
    k ∫ φ(z) [Φ(z) - Φ(z - q)]^(k - 1) dz. The trapezoid rule is exact to rounding for an integrand
    this smooth that dies off at both ends; the root is bracketed.
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
    """Runs of rows in order of mean rank that no longer run contains; see `Friedman.groups`."""
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

    The columns count as independent blocks. Metrics of one dataset are not: give one column per
    dataset for a p-value to be taken at its word. The chi-square approximation is rough for few
    columns, and mean ranks depend on which other rows are compared.

    Args:
        means: (rows, columns) means of the complete rows; ties are exactly equal values.
        higher: per column whether higher is better.

    Raises:
        InputError: not a table, a direction is missing, or a mean is not finite.
    """
    scores = oriented(means, higher)
    k, n = scores.shape
    ranks = [mid_ranks(-column) for column in scores.T] if k else []
    mean_ranks = np.sum(ranks, axis=0) / n if ranks else np.zeros(0)
    printed = tuple(float(rank) for rank in mean_ranks)
    few = "fewer than 3 rows" if k < 3 else "fewer than 2 columns" if n < 2 else ""
    if few:
        return Friedman(n, k, None, None, printed, None, (), f"{few}: not tested")
    untied = 1 - math.fsum(map(tie_term, ranks)) / (n * k * (k * k - 1))
    critical_difference = _nemenyi_q(k) * math.sqrt(k * (k + 1) / (6 * n))
    groups = _groups(mean_ranks, critical_difference)
    if not untied:
        note = "all rows are equal in every column"
        return Friedman(n, k, None, None, printed, critical_difference, groups, note)
    deviations = mean_ranks - (k + 1) / 2
    statistic = 12 * n / (k * (k + 1)) * math.fsum(deviations**2) / untied
    p = float(special.chdtrc(k - 1, statistic))
    note = "" if p < ALPHA else f"equal rows are not rejected at {ALPHA:g}: gaps are no findings"
    return Friedman(n, k, statistic, p, printed, critical_difference, groups, note)
