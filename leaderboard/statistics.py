"""The statistics of the board: summaries, ranks, paired t-tests, corrections and tiers.

Every function works on plain, finite numbers (the schema of records refuses others) and knows
nothing of records or tables. Differences are always ``a - b``, in the units of the inputs (percent
on the board). Undefined results are None and come with a note. All tables
print their numbers as is said here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

import numpy as np
from scipy import special

#: Values that differ by less than this fraction of their size differ by rounding only: a sum and a
#: difference of two floats are each off by at most half a unit in the last place.
ROUNDING = 8 * np.finfo(np.float64).eps

#: The same holds for values that differ by less than this, whatever their size: float64 cannot hold
#: the square of such a difference, and hence no variance.
SMALLEST = 1e-150

#: Significance level: a smaller p-value, after the correction in use, is called a difference.
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean and sample standard deviation (None for one value) of `n` values.

    `decimals` are those a paper prints, None for our own numbers.
    """

    mean: float
    std: float | None
    n: int
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class PairedT:
    """Two-sided paired t-test.

    Attributes:
        n: number of pairs.
        difference: mean of ``a - b``; None without pairs.
        ci_low, ci_high: 95 % confidence interval of the mean difference; None where undefined.
        p: two-sided p-value; None where undefined, and `note` then says why.
        note: ``""``, ``"no common seeds"``, ``"n < 2"``, ``"identical"`` or ``"constant
            difference"``.
    """

    n: int
    difference: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    note: str = ""


#: (row, other row) → test of the first against the second.
Pairs = Mapping[tuple[str, str], PairedT]


def rounding_error(largest: float | np.ndarray) -> float | np.ndarray:
    """Size below which a difference of values up to `largest` is rounding."""
    return np.maximum(ROUNDING * largest, SMALLEST)


def summarize(values: Sequence[float]) -> Summary:
    """Mean and sample standard deviation (n - 1 in the denominator) of at least one value.

    The mean is exactly rounded (`math.fsum`), so equal sets of values give equal means, and ties
    stay ties, whatever their order.
    """
    n = len(values)
    mean = math.fsum(values) / n
    std = math.sqrt(math.fsum((np.asarray(values) - mean) ** 2) / (n - 1)) if n > 1 else None
    return Summary(mean, std, n)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of a mean over seeds (Student's t, n - 1 degrees of freedom).

    None for one value, and for values that are equal up to rounding: without spread nothing is
    known of the interval's width, which is not the same as a width of 0.
    """
    moments = summarize(values)
    if moments.std is None or np.ptp(values) <= rounding_error(np.abs(values).max()):
        return None
    n = moments.n
    half = float(special.stdtrit(n - 1, 0.975)) * (moments.std / math.sqrt(n))
    return moments.mean - half, moments.mean + half


def competition_ranks(values: Sequence[float | None], higher_is_better: bool) -> list[int | None]:
    """Rank 1 for the best; ties share the better rank (1, 2, 2, 4); None has no rank."""
    sign = 1.0 if higher_is_better else -1.0
    scores = [None if value is None else sign * value for value in values]
    present = [score for score in scores if score is not None]
    return [
        None if score is None else 1 + sum(other > score for other in present) for score in scores
    ]


def mid_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 for the smallest value; ties get the mean of the ranks they occupy.

    Args:
        values: (n,) finite values, n ≥ 1; ties are exactly equal.

    Returns:
        (n,) float64: integer and half-integer ranks with the sum n (n + 1) / 2.
    """
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(sizes) - (sizes - 1) / 2)[group]


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
    return [None if not row or None in row else summarize(list(row)) for row in ranks]


def pairwise_t(values: Mapping[str, Mapping[int, float]]) -> dict[tuple[str, str], PairedT]:
    """Two-sided paired t-test of every row against every other one, over their common seeds.

    The page lets its reader choose the reference, so all pairs are tested: those that share their
    seeds in one array operation.

    Where every difference is the same the test is undefined: without spread there is no evidence
    on how the difference varies from seed to seed, so no p-value is given rather than p = 0. Equal
    inputs are ``"identical"``, others (of two deterministic methods, say) a ``"constant
    difference"``. "The same" is up to rounding.

    Args:
        values: row → seed → value, in the metric's units.

    Returns:
        (row, other) → test of their differences; exactly antisymmetric.
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
            results = iter(_paired_t(a.reshape(len(rows_a), -1), b.reshape(len(rows_b), -1)))
            tests.update(((x, y), next(results)) for x in rows_a for y in rows_b)
    return {pair: test for pair, test in tests.items() if pair[0] != pair[1]}


def _paired_t(a: np.ndarray, b: np.ndarray) -> Sequence[PairedT]:
    """Rows of `a` (K, n) against rows of `b` (L, n), as K·L tests in that order."""
    count, n = len(a) * len(b), a.shape[1]
    if n == 0:
        return [PairedT(0, None, note="no common seeds")] * count
    differences = (a[:, None] - b[None]).reshape(count, n)
    means = differences.mean(axis=1)
    if n == 1:
        return [PairedT(1, mean, note="n < 2") for mean in means.tolist()]
    largest = np.maximum(np.abs(a).max(axis=1)[:, None], np.abs(b).max(axis=1)[None]).ravel()
    identical = np.abs(differences).max(axis=1) <= rounding_error(largest)
    constant = np.ptp(differences, axis=1) <= rounding_error(largest)
    error = differences.std(axis=1, ddof=1) / math.sqrt(n)
    t = means / np.where(constant, 1.0, error)
    half = float(special.stdtrit(n - 1, 0.975)) * error
    p = 2 * special.stdtr(n - 1, -np.abs(t))
    tests = []
    for numbers in zip(*(x.tolist() for x in (identical, constant, means, half, p))):
        is_identical, is_constant, mean, half_width, p_value = numbers
        if is_identical or is_constant:
            note = "identical" if is_identical else "constant difference"
            tests.append(PairedT(n, mean, note=note))
        else:
            tests.append(PairedT(n, mean, mean - half_width, mean + half_width, p_value))
    return tests


class WelchTest(NamedTuple):
    """Welch's t-test of two samples that are not paired.

    Attributes:
        p: two-sided.
        ci_low, ci_high: 95 % interval of the difference between the means, first minus second.
    """

    p: float
    ci_low: float
    ci_high: float


def welch_p(a: Sequence[float], b: Sequence[float]) -> float | None:
    """The p-value of `welch_test`; None where that is undefined."""
    test = welch_test(a, b)
    return test and test.p


def welch_test(a: Sequence[float], b: Sequence[float]) -> WelchTest | None:
    """The test; None where undefined: for a single value, and without spread in either sample."""
    if min(len(a), len(b)) < 2:
        return None
    samples = [np.asarray(values, dtype=np.float64) for values in (a, b)]
    largest = max(np.abs(values).max() for values in samples)
    if all(np.ptp(values) <= rounding_error(largest) for values in samples):
        return None
    errors = [values.var(ddof=1) / len(values) for values in samples]
    difference, error = samples[0].mean() - samples[1].mean(), math.sqrt(sum(errors))
    freedom = sum(errors) ** 2 / sum(e**2 / (len(v) - 1) for e, v in zip(errors, samples))
    half = special.stdtrit(freedom, 0.975) * error
    p = 2 * special.stdtr(freedom, -abs(difference / error))
    return WelchTest(float(p), float(difference - half), float(difference + half))


def p_text(p: float | None) -> str:
    """A p-value in print: ``"p = 0.012"``, ``"p = 1.2e-04"``, ``"p not defined"``."""
    if p is None:
        return "p not defined"
    number = p_number(p)
    return f"p < {number[1:]}" if number.startswith("<") else f"p = {number}"


def p_number(p: float) -> str:
    """Two significant digits, with an exponent below 0.001: ``0.012``, ``1.2e-04``.

    A value just below `ALPHA` gets as many digits as keep it below. The page's `pValue` is the
    same.
    """
    if p < 1e-300:
        return "<1e-300"
    if p < 1e-3:
        return f"{_significant(p, 2):.1e}"
    texts = (f"{_significant(p, digits):#.{digits}g}" for digits in range(2, 18))
    return next(text for text in texts if (float(text) < ALPHA) == (p < ALPHA))


def _significant(value: float, digits: int) -> float:
    """Rounded half up: a sign-flip test has p-values such as 0.125."""
    exact = Decimal(value)
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() + 1 - digits), ROUND_HALF_UP))


def rounds_to_zero(difference: float, digits: int = 2) -> bool:
    """Whether a difference is +0.00 or -0.00 at the `digits` decimals that the tables show.

    No score is known that precisely, whatever the p-value: the seeds may agree on what is mostly
    rounding.
    """
    return abs(Decimal(difference)) < Decimal(5).scaleb(-digits - 1)


def mean_std(value: Summary, digits: int = 2) -> str:
    """``80.25 ± 0.12``; a single value has no ±."""
    spread = "" if value.std is None else f" ± {rounded(value.std, digits)}"
    return rounded(value.mean, digits) + spread


def rounded(value: float, digits: int) -> str:
    """Rounds half up, as on the page and by hand: average ranks end in 0.125. Zero has no sign."""
    number = Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return str(number if number else abs(number))


def difference_text(value: float | None, digits: int = 2) -> str:
    """With its sign, but none for what is printed as zero; a dash for None."""
    if value is None:
        return "—"
    text = rounded(value, digits)
    return text if value < 0 or rounds_to_zero(value, digits) else f"+{text}"


def interval_text(low: float, high: float, digits: int = 2) -> str:
    """The interval of a difference, ``[-0.12, +0.31]``."""
    return f"[{difference_text(low, digits)}, {difference_text(high, digits)}]"


def _ascending(p_values: Sequence[float | None]) -> list[int]:
    """Positions of the defined p-values, the smallest p first."""
    defined = [index for index, p in enumerate(p_values) if p is not None]
    return sorted(defined, key=lambda index: p_values[index])


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p-values (Holm, Scand. J. Statist. 6, 1979).

    The i-th smallest of m p-values is multiplied by m - i + 1, made monotone and capped at 1, which
    controls the family-wise error rate. None passes through and does not count towards m.
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
    false discovery rate of tests that are independent or positively dependent: a weaker guarantee
    than Holm's. None passes through and does not count towards m.
    """
    order = _ascending(p_values)
    adjusted: list[float | None] = [None] * len(p_values)
    smallest = 1.0
    for place in range(len(order), 0, -1):
        smallest = min(smallest, p_values[order[place - 1]] * len(order) / place)
        adjusted[order[place - 1]] = smallest
    return adjusted


def tiers(
    means: Mapping[str, float], tests: Pairs, higher_is_better: bool, digits: int = 2
) -> dict[str, int]:
    """The tiers of one column: 1 for the best and what is not separable from it, 2 for the rest.

    Every row but the best is tested against the best, Holm-corrected over these tests; it is in
    tier 2 where the adjusted p is below `ALPHA`, unless the difference `rounds_to_zero`. Rows that
    tie for the best are all in tier 1; the others are tested against each of them, and one test
    that does not separate is enough for tier 1. A row whose test is undefined (fewer than two
    common seeds, a constant difference) has no tier: nothing is known of it. Without any defined
    test no row has one.

    The best is picked by the same values it is then tested on, so tier 2 is a description and not a
    confirmed finding: with 20 equal methods and 5 seeds some row ends up there in about 15 % of
    simulations. Only the tests against the pre-declared reference keep their error rate.

    Args:
        means: row → mean over its seeds.
        tests: `pairwise_t` of the rows.
        digits: decimals that the column is printed with.

    Returns:
        Row → tier, for the rows that have one.
    """
    ranks = dict(zip(means, competition_ranks(list(means.values()), higher_is_better)))
    tier_of = {row: 1 for row, rank in ranks.items() if rank == 1}
    others = [row for row, rank in ranks.items() if rank != 1]
    tested = False
    for best in [*tier_of]:
        against = [tests[row, best] for row in others]
        for row, test, p in zip(others, against, holm([test.p for test in against])):
            if p is not None:
                tested = True
                separable = p < ALPHA and not rounds_to_zero(test.difference, digits)
                tier_of[row] = tier_of.get(row, 2) if separable else 1
    return tier_of if tested else {}
