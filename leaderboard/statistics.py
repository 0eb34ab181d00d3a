"""The statistics of the board: summaries, ranks, paired t-tests and Holm's correction.

Every function works on plain numbers and knows nothing of records or tables. Differences are
always ``a - b``, in the units of the inputs (percent on the board).
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
_ROUNDING = 8 * np.finfo(np.float64).eps


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


def _finite(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise InputError("statistics need a plain list of finite values")
    return array


def summary(values: Sequence[float]) -> Summary:
    """Mean and sample standard deviation (n - 1 in the denominator) of at least one value.

    The mean is exactly rounded (`math.fsum`), so equal sets of values give equal means, and ties
    stay ties, in whatever order the values come.

    Raises:
        InputError: no values, or a value is not finite.
    """
    array = _finite(values)
    n = len(array)
    if n == 0:
        raise InputError("no values to summarise")
    mean = math.fsum(array) / n
    std = math.sqrt(math.fsum((array - mean) ** 2) / (n - 1)) if n > 1 else None
    return Summary(mean, std, n)


def competition_ranks(values: Sequence[float | None], higher_is_better: bool) -> list[int | None]:
    """Rank 1 for the best; ties share the better rank (1, 2, 2, 4); None or NaN has no rank."""
    sign = 1.0 if higher_is_better else -1.0
    scores = [None if v is None or math.isnan(v) else sign * v for v in values]
    present = [score for score in scores if score is not None]
    return [
        None if score is None else 1 + sum(other > score for other in present) for score in scores
    ]


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


def paired_t(a: Sequence[float], b: Sequence[float]) -> PairedT:
    """Two-sided paired t-test of the mean of ``a - b`` against 0, with its 95 % interval.

    Where every difference is the same the test is undefined: without spread there is no evidence
    on how the difference varies from seed to seed, so no p-value is given rather than p = 0. Equal
    inputs are ``"identical"``; a constant difference other than 0 has t = ±inf and is called
    ``"constant difference"`` (two deterministic methods, say). "The same" is up to rounding.

    Raises:
        InputError: different lengths, or a value is not finite.
    """
    a, b = _finite(a), _finite(b)
    if a.shape != b.shape:
        raise InputError(f"a paired test needs pairs, not {len(a)} and {len(b)} values")
    differences = a - b
    n = len(differences)
    if n == 0:
        return PairedT(0, None, note="no common seeds")
    moments = summary(differences)
    if n == 1:
        return PairedT(1, moments.mean, note="n < 2")
    tolerance = _ROUNDING * max(np.abs(a).max(), np.abs(b).max())
    if np.abs(differences).max() <= tolerance:
        return PairedT(n, moments.mean, note="identical")
    if np.ptp(differences) <= tolerance:
        infinite = math.copysign(math.inf, moments.mean)
        return PairedT(n, moments.mean, t=infinite, note="constant difference")
    error = moments.std / math.sqrt(n)
    t = moments.mean / error
    half = float(special.stdtrit(n - 1, 0.975)) * error
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


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p-values (Holm, Scand. J. Statist. 6, 1979).

    The i-th smallest of m p-values is multiplied by m - i + 1, made monotone and capped at 1, which
    controls the chance of any false finding in the family. None passes through and does not count
    into m.

    Raises:
        InputError: a p-value outside 0 … 1.
    """
    defined = [index for index, p in enumerate(p_values) if p is not None]
    if any(not 0 <= p_values[index] <= 1 for index in defined):
        raise InputError("a p-value lies between 0 and 1")
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for step, index in enumerate(sorted(defined, key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(defined) - step) * p_values[index]))
        adjusted[index] = largest
    return adjusted
