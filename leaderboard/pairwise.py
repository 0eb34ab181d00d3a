"""All paired t-tests of one column at once.

The page lets its reader choose the reference, so every method is tested against every other one.
One at a time that is most of the time a board takes; this is `leaderboard.statistics.paired_t` for
all pairs that share their seeds, in one array operation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

from leaderboard.statistics import PairedT, rounding

#: (row, other row) → test of the first against the second.
Pairs = Mapping[tuple[str, str], PairedT]


def pairwise_t(values: Mapping[str, Mapping[int, float]]) -> dict[tuple[str, str], PairedT]:
    """Two-sided paired t-test of every row against every other one, over their common seeds.

    Args:
        values: row → seed → value; finite, in the metric's units.

    Returns:
        (row, other) → what `paired_t` says of the two, to rounding; exactly antisymmetric.
    """
    groups: dict[tuple[int, ...], list[str]] = {}
    for row, runs in values.items():
        groups.setdefault(tuple(sorted(runs)), []).append(row)
    tests: dict[tuple[str, str], PairedT] = {}
    for seeds_a, rows_a in groups.items():
        for seeds_b, rows_b in groups.items():
            common = sorted(set(seeds_a) & set(seeds_b))
            a = np.array([[values[row][seed] for seed in common] for row in rows_a])
            b = np.array([[values[row][seed] for seed in common] for row in rows_b])
            found = iter(_tests(a.reshape(len(rows_a), -1), b.reshape(len(rows_b), -1)))
            tests.update(((x, y), next(found)) for x in rows_a for y in rows_b)
    return {pair: test for pair, test in tests.items() if pair[0] != pair[1]}


def _tests(a: np.ndarray, b: np.ndarray) -> Sequence[PairedT]:
    """Rows of `a` (K, n) against rows of `b` (L, n), as K·L tests in that order."""
    count, n = len(a) * len(b), a.shape[1]
    if n == 0:
        return [PairedT(0, None, note="no common seeds")] * count
    differences = (a[:, None] - b[None]).reshape(count, n)
    means = differences.mean(axis=1)
    if n == 1:
        return [PairedT(1, mean, note="n < 2") for mean in means.tolist()]
    largest = np.maximum(np.abs(a).max(axis=1)[:, None], np.abs(b).max(axis=1)[None]).ravel()
    identical = np.abs(differences).max(axis=1) <= rounding(largest)
    constant = np.ptp(differences, axis=1) <= rounding(largest)
    error = differences.std(axis=1, ddof=1) / math.sqrt(n)
    t = means / np.where(constant, 1.0, error)
    half = float(special.stdtrit(n - 1, 0.975)) * error
    p = 2 * special.stdtr(n - 1, -np.abs(t))
    tests = []
    for values in zip(*(x.tolist() for x in (identical, constant, means, half, t, p))):
        equal, flat, mean, width, statistic, chance = values
        if equal:
            tests.append(PairedT(n, mean, note="identical"))
        elif flat:
            infinite = math.copysign(math.inf, mean)
            tests.append(PairedT(n, mean, t=infinite, note="constant difference"))
        else:
            tests.append(PairedT(n, mean, mean - width, mean + width, statistic, chance))
    return tests
