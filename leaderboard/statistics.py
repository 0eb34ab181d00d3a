"""The statistics of the board: summaries, ranks, paired tests, corrections and tiers.

Every function works on plain numbers and knows nothing of records or tables. Differences are
always ``a - b``, in the units of the inputs (percent on the board). What is undefined is None or a
note in words; a value that is not finite is an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from benchmark.errors import InputError

#: Values that differ by less than this fraction of their size differ by rounding only: a sum and a
#: difference of two floats are each off by at most half a unit in the last place.
ROUNDING = 8 * np.finfo(np.float64).eps

#: So do values that differ by less than this, whatever their size: float64 cannot hold the square
#: of such a difference, and so no variance of it.
SMALLEST = 1e-150

#: The level below which an adjusted p-value is called a difference.
ALPHA = 0.05

#: Up to this many differences Wilcoxon's test counts its distribution out.
_WILCOXON_EXACT = 25


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean and sample standard deviation (None for one value) of `n` values."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Pairing:
    """Values of two methods at their common seeds, and the seeds only one of them has."""

    seeds: tuple[int, ...]
    a: tuple[float, ...]
    b: tuple[float, ...]
    only_a: tuple[int, ...]
    only_b: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PairedT:
    """Two-sided paired t-test.

    Attributes:
        n: number of pairs.
        difference: mean of ``a - b``; None without pairs.
        ci_low, ci_high: 95 % confidence interval of the mean difference; None where undefined.
        t: the statistic with n - 1 degrees of freedom; ±inf for a constant difference.
        p: two-sided p-value; None where undefined, and `note` then says why.
        note: ``""``, ``"no common seeds"`` (or columns), ``"n < 2"``, ``"identical"`` or
            ``"constant difference"``.
    """

    n: int
    difference: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    t: float | None = None
    p: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class SignedRank:
    """Two-sided Wilcoxon signed-rank test.

    Attributes:
        n: number of pairs that differ; pairs without a difference are dropped.
        statistic: the smaller of the rank sums of the positive and the negative differences.
        p: two-sided p-value; None where undefined.
        note: ``""``, ``"no common seeds"``, ``"identical"``, or, where n < 6, the smallest p that n
            pairs can reach: such a test can never be below 0.05.
    """

    n: int
    statistic: float | None
    p: float | None
    note: str = ""


def finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The values as a one-dimensional float64 array.

    Raises:
        InputError: not one-dimensional, or a value is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise InputError("statistics need a plain list of finite values")
    return array


def rounding(largest: float | np.ndarray) -> float | np.ndarray:
    """Up to what size differences say nothing, of values as large as `largest`."""
    return np.maximum(ROUNDING * largest, SMALLEST)


def summary(values: Sequence[float]) -> Summary:
    """Mean and sample standard deviation (n - 1 in the denominator) of at least one value.

    The mean is exactly rounded (`math.fsum`), so equal sets of values give equal means, and ties
    stay ties, in whatever order the values come.

    Raises:
        InputError: no values, or a value is not finite.
    """
    array = finite(values)
    n = len(array)
    if n == 0:
        raise InputError("no values to summarise")
    mean = math.fsum(array) / n
    std = math.sqrt(math.fsum((array - mean) ** 2) / (n - 1)) if n > 1 else None
    return Summary(mean, std, n)


def _half_width(std: float, n: int) -> float:
    """Half the width of the 95 % t-interval of a mean of `n` values."""
    return float(special.stdtrit(n - 1, 0.975)) * (std / math.sqrt(n))


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of a mean over seeds (Student's t, n - 1 degrees of freedom).

    None for one value, and for values that are equal up to rounding: without spread nothing is
    known of the interval's width, which is not the same as a width of 0.

    Raises:
        InputError: no values, or a value is not finite.
    """
    moments = summary(values)
    if moments.std is None or np.ptp(values) <= rounding(np.abs(values).max()):
        return None
    half = _half_width(moments.std, moments.n)
    return moments.mean - half, moments.mean + half


def competition_ranks(values: Sequence[float | None], higher_is_better: bool) -> list[int | None]:
    """Rank 1 for the best; ties share the better rank (1, 2, 2, 4); None or NaN has no rank."""
    sign = 1.0 if higher_is_better else -1.0
    scores = [None if v is None or math.isnan(v) else sign * v for v in values]
    present = [score for score in scores if score is not None]
    return [
        None if score is None else 1 + sum(other > score for other in present) for score in scores
    ]


def mid_ranks(values: np.ndarray, tolerance: float = 0.0) -> np.ndarray:
    """Ranks from 1 for the smallest value; ties get the mean of the ranks they take up.

    Args:
        values: (n,) finite values, n ≥ 1.
        tolerance: neighbours in order that differ by no more are tied.

    Returns:
        (n,) float64: whole and half ranks with the sum n (n + 1) / 2.
    """
    order = np.argsort(values, kind="stable")
    group = np.concatenate(([0], np.cumsum(np.diff(values[order]) > tolerance)))
    sizes = np.bincount(group)
    ranks = np.empty(len(values))
    ranks[order] = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return ranks


def tie_term(ranks: np.ndarray) -> float:
    """Sum of t³ - t over the groups of t tied values, of the `mid_ranks` of one list."""
    sizes = np.unique(ranks, return_counts=True)[1].astype(np.float64)
    return float((sizes**3 - sizes).sum())


def average_rank(ranks: Sequence[Sequence[int | None]]) -> list[Summary | None]:
    """Mean rank of each row over all columns, with the sample standard deviation over columns.

    Args:
        ranks: one row per method, one rank per metric column (`competition_ranks` of the column).

    Returns:
        One summary per row; None for a row with a missing rank: a mean over fewer, perhaps easier,
        columns does not compare (average rank of the VasoMIM journal paper, table I).
    """
    return [None if not row or None in row else summary(list(row)) for row in ranks]


def pair_by_seed(a: Mapping[int, float], b: Mapping[int, float]) -> Pairing:
    """Pair two methods' values (seed → value) at the seeds both have, in the order of the seeds."""
    seeds = tuple(sorted(a.keys() & b.keys()))
    return Pairing(
        seeds=seeds,
        a=tuple(a[seed] for seed in seeds),
        b=tuple(b[seed] for seed in seeds),
        only_a=tuple(sorted(a.keys() - b.keys())),
        only_b=tuple(sorted(b.keys() - a.keys())),
    )


def _differences(a: Sequence[float], b: Sequence[float]) -> tuple[np.ndarray, float]:
    """``a - b`` and the size below which a difference is rounding."""
    a, b = finite(a), finite(b)
    if a.shape != b.shape:
        raise InputError(f"a paired test needs pairs, not {len(a)} and {len(b)} values")
    return a - b, rounding(max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0)))


def paired_t(a: Sequence[float], b: Sequence[float]) -> PairedT:
    """Two-sided paired t-test of the mean of ``a - b`` against 0, with its 95 % interval.

    Where every difference is the same the test is undefined: without spread there is no evidence
    on how the difference varies from seed to seed, so no p-value is given rather than p = 0. Equal
    inputs are ``"identical"``; a constant difference other than 0 has t = ±inf and is called
    ``"constant difference"`` (two deterministic methods, say). "The same" is up to rounding.

    Raises:
        InputError: different lengths, or a value is not finite.
    """
    differences, tolerance = _differences(a, b)
    n = len(differences)
    if n == 0:
        return PairedT(0, None, note="no common seeds")
    moments = summary(differences)
    if n == 1:
        return PairedT(1, moments.mean, note="n < 2")
    if np.abs(differences).max() <= tolerance:
        return PairedT(n, moments.mean, note="identical")
    if np.ptp(differences) <= tolerance:
        infinite = math.copysign(math.inf, moments.mean)
        return PairedT(n, moments.mean, t=infinite, note="constant difference")
    t = moments.mean / (moments.std / math.sqrt(n))
    half = _half_width(moments.std, n)
    p = 2 * float(special.stdtr(n - 1, -abs(t)))
    return PairedT(n, moments.mean, moments.mean - half, moments.mean + half, t, p)


def overall_paired_t(means_a: Sequence[float], means_b: Sequence[float]) -> PairedT:
    """The papers' overall comparison of two methods: a paired t-test over their metric means.

    The pairs are metric columns, not seeds: "n < 2" means fewer than two columns. It asks whether
    the advantage is consistent over the columns, which are neither independent nor of equal scale.

    Raises:
        InputError: as `paired_t`.
    """
    result = paired_t(means_a, means_b)
    if result.n == 0:
        return PairedT(0, None, note="no common columns")
    return result


def wilcoxon(a: Sequence[float], b: Sequence[float]) -> SignedRank:
    """Wilcoxon's signed-rank test of ``a - b`` (Wilcoxon, Biometrics Bulletin 1, 1945).

    Pairs without a difference are dropped, as Wilcoxon did; equal sizes share their mean rank; both
    up to rounding, so that values printed with two decimals tie as they should. Up to 25
    differences the p-value is exact, ties or not: it counts the sign patterns that are at least as
    extreme. Beyond that it is the normal approximation with the tie correction and without a
    continuity correction.

    Raises:
        InputError: different lengths, or a value is not finite.
    """
    differences, tolerance = _differences(a, b)
    if len(differences) == 0:
        return SignedRank(0, None, None, "no common seeds")
    differences = differences[np.abs(differences) > tolerance]
    n = len(differences)
    if n == 0:
        return SignedRank(0, None, None, "identical")
    ranks = mid_ranks(np.abs(differences), tolerance)
    statistic = float(min(ranks[differences > 0].sum(), ranks[differences < 0].sum()))
    smallest = 2.0 ** (1 - n)
    note = f"n = {n}: p cannot be below {smallest:g}" if smallest >= ALPHA else ""
    exact = n <= _WILCOXON_EXACT
    p = _signed_rank_exact(ranks, statistic) if exact else _signed_rank_normal(ranks, statistic)
    return SignedRank(n, statistic, p, note)


def _signed_rank_exact(ranks: np.ndarray, statistic: float) -> float:
    """Share of the 2^n equally likely sign patterns whose smaller rank sum is ≤ `statistic`."""
    doubled = np.rint(2 * ranks).astype(np.int64)  # mid-ranks are whole or half
    patterns = np.zeros(doubled.sum() + 1, dtype=np.int64)  # by twice the positive rank sum
    patterns[0] = 1
    for rank in doubled:
        patterns[rank:] += patterns[:-rank]
    return min(1.0, 2 * float(patterns[: round(2 * statistic) + 1].sum()) / 2.0 ** len(ranks))


def _signed_rank_normal(ranks: np.ndarray, statistic: float) -> float:
    n = len(ranks)
    variance = n * (n + 1) * (2 * n + 1) / 24 - tie_term(ranks) / 48
    return 2 * float(special.ndtr((statistic - n * (n + 1) / 4) / math.sqrt(variance)))


def prints_as_zero(difference: float) -> bool:
    """Whether a difference is +0.00 or -0.00 at the two decimals that the tables show.

    Nobody knows a score that closely, whatever the p-value: the seeds may agree on what is mostly
    rounding.
    """
    return float(f"{difference:.2f}") == 0


def _ascending(p_values: Sequence[float | None]) -> list[int]:
    """Positions of the defined p-values, the smallest p first."""
    defined = [index for index, p in enumerate(p_values) if p is not None]
    if any(not 0 <= p_values[index] <= 1 for index in defined):
        raise InputError("a p-value lies between 0 and 1")
    return sorted(defined, key=lambda index: p_values[index])


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p-values (Holm, Scand. J. Statist. 6, 1979).

    The i-th smallest of m p-values is multiplied by m - i + 1, made monotone and capped at 1, which
    controls the chance of any false finding in the family. None passes through and does not count
    into m.

    Raises:
        InputError: a p-value outside 0 … 1.
    """
    order = _ascending(p_values)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for step, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - step) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's step-up adjusted p-values (J. R. Statist. Soc. B 57, 1995).

    The i-th smallest of m p-values is multiplied by m / i and made monotone, which controls the
    expected share of false findings among the findings: weaker than Holm's promise, for tests that
    are independent or positively dependent. None passes through and does not count into m.

    Raises:
        InputError: a p-value outside 0 … 1.
    """
    order = _ascending(p_values)
    adjusted: list[float | None] = [None] * len(p_values)
    smallest = 1.0
    for place in range(len(order), 0, -1):
        smallest = min(smallest, p_values[order[place - 1]] * len(order) / place)
        adjusted[order[place - 1]] = smallest
    return adjusted


def separable_from_best(
    values: Sequence[Mapping[int, float] | None], higher_is_better: bool, alpha: float = ALPHA
) -> list[int | None]:
    """The tiers of one column: 1 for the best and what is not separable from it, 2 for the rest.

    The best is the row with the best mean over its seeds. Every other row is tested against it by
    `paired_t` over their common seeds, Holm-corrected over these tests; it is in tier 2 where the
    adjusted p is below `alpha`, unless the difference `prints_as_zero`. Rows that tie for the best
    are all in tier 1; the others are tested against each of them, and one test that does not
    separate is enough for tier 1. A row whose test is undefined (fewer than two common seeds, a
    constant difference) has no tier: nothing is known of it.

    The best is picked by the same values it is then tested on, so tier 2 is a description and not a
    confirmed finding: with 20 equal methods and 5 seeds some row lands there in about 15 % of
    worlds. The pre-declared reference is what keeps its error rate.

    Args:
        values: per row seed → value; None or empty without results.

    Raises:
        InputError: a value is not finite.
    """
    means = [summary(list(runs.values())).mean if runs else None for runs in values]
    places = competition_ranks(means, higher_is_better)
    tiers: list[int | None] = [1 if place == 1 else None for place in places]
    for best in (row for row, place in enumerate(places) if place == 1):
        others = [row for row, place in enumerate(places) if place is not None and place > 1]
        pairings = [pair_by_seed(values[row], values[best]) for row in others]
        tests = [paired_t(pairing.a, pairing.b) for pairing in pairings]
        for row, test, p in zip(others, tests, holm([test.p for test in tests])):
            if p is not None:
                same = p >= alpha or prints_as_zero(test.difference)
                tiers[row] = 1 if same else (tiers[row] or 2)
    return tiers
