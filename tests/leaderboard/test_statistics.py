import math

import numpy as np
import pytest
from scipy import stats

from benchmark.errors import InputError
from leaderboard.statistics import (
    average_rank,
    competition_ranks,
    holm,
    overall_paired_t,
    pair_by_seed,
    paired_t,
    summary,
)


def test_summary_by_hand():
    # Deviations -1, 0, 1: sum of squares 2, divided by n - 1 = 2.
    result = summary([79.0, 80.0, 81.0])
    assert (result.mean, result.std, result.n) == (80.0, 1.0, 3)
    assert summary([41.3]).std is None
    assert summary([41.3] * 5).std == 0.0


def test_summary_does_not_depend_on_the_order():
    values = np.random.default_rng(0).uniform(0, 100, 7)
    assert len({summary(np.random.default_rng(k).permutation(values)).mean for k in range(50)}) == 1


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_summary_refuses(values):
    with pytest.raises(InputError):
        summary(values)


def test_competition_ranks_by_hand():
    values = [80.0, 90.0, None, 80.0, math.nan, 70.0]
    assert competition_ranks(values, higher_is_better=True) == [2, 1, None, 2, None, 4]
    assert competition_ranks(values, higher_is_better=False) == [2, 4, None, 2, None, 1]
    assert competition_ranks([], higher_is_better=True) == []


def test_average_rank_by_hand():
    first, incomplete, empty = average_rank([[1, 2, 3], [1, None, 1], []])
    assert (first.mean, first.std, first.n) == (2.0, 1.0, 3)
    assert incomplete is None
    assert empty is None


@pytest.mark.parametrize("n", [2, 3, 5, 30])
@pytest.mark.parametrize("effect", [0.0, 0.5, 5.0])
def test_paired_t_equals_scipy(n, effect):
    generator = np.random.default_rng([n, int(10 * effect)])
    b = generator.normal(80, 2, n)
    a = b + generator.normal(effect, 0.3, n)
    ours, theirs = paired_t(a, b), stats.ttest_rel(a, b)
    interval = theirs.confidence_interval(0.95)
    expected = [theirs.statistic, theirs.pvalue, interval.low, interval.high]
    got = [ours.t, ours.p, ours.ci_low, ours.ci_high]
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    assert (ours.n, ours.note) == (n, "")


def test_paired_t_by_hand():
    # Differences 1, 2, 3: mean 2, std 1, t = 2 sqrt(3), and for 2 degrees of freedom the
    # distribution has a closed form, p = 1 - t / sqrt(2 + t^2).
    result = paired_t([81.0, 82.0, 83.0], [80.0, 80.0, 80.0])
    t = 2 * math.sqrt(3)
    assert result.difference == 2.0
    assert result.t == pytest.approx(t, rel=1e-14)
    assert result.p == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-12)


def test_identical_values_have_no_p():
    values = [79.9, 80.1, 80.3]
    result = paired_t(values, values)
    assert (result.n, result.difference, result.t, result.p) == (3, 0.0, None, None)
    assert result.note == "identical"


@pytest.mark.parametrize("shift", [1.0, -0.1, 0.3])
def test_a_constant_difference_has_no_p(shift):
    b = np.random.default_rng(1).uniform(70, 90, 5)
    # b + shift is rounded, so the differences are equal only up to the last bits.
    result = paired_t(b + shift, b)
    assert result.note == "constant difference"
    assert result.t == math.copysign(math.inf, shift)
    assert result.difference == pytest.approx(shift)
    assert (result.p, result.ci_low, result.ci_high) == (None, None, None)


def test_a_deterministic_method_against_a_varying_one_is_an_ordinary_test():
    a, b = [41.3] * 5, [79.1, 79.4, 79.5, 79.2, 79.6]
    assert paired_t(a, b).p == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-12)


def test_too_few_pairs():
    assert paired_t([], []).note == "no common seeds"
    assert paired_t([], []).difference is None
    single = paired_t([81.0], [80.0])
    assert (single.n, single.difference, single.p, single.note) == (1, 1.0, None, "n < 2")
    assert overall_paired_t([], []).note == "no common columns"


def test_paired_t_refuses_unequal_lengths_and_nan():
    with pytest.raises(InputError, match="2 and 1"):
        paired_t([1.0, 2.0], [1.0])
    with pytest.raises(InputError):
        paired_t([1.0, math.nan], [1.0, 2.0])


def test_pair_by_seed_uses_common_seeds_and_names_the_others():
    pairing = pair_by_seed({2: 82.0, 0: 80.0, 4: 84.0}, {0: 70.0, 1: 71.0, 2: 72.0})
    assert pairing.seeds == (0, 2)
    assert (pairing.a, pairing.b) == ((80.0, 82.0), (70.0, 72.0))
    assert (pairing.only_a, pairing.only_b) == ((4,), (1,))


def test_overall_test_on_the_published_means():
    # DSC and clDice of ARCADE-V, CAXF, XCAV and DSC of ARCADE-S, ARCADE-VS, table I of the journal.
    mae = [79.39, 80.74, 89.20, 91.80, 84.84, 82.58, 51.72, 56.69]
    simmim = [77.81, 78.84, 88.02, 90.47, 82.77, 80.22, 47.63, 55.17]
    assert overall_paired_t(mae, simmim).p == pytest.approx(
        stats.ttest_rel(mae, simmim).pvalue, rel=1e-12
    )


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 with m = 4: .01*4 = .04, .02*3 = .06, .03*2 = .06, .04*1 = .04 -> .06.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    # None is outside the family: m = 2.
    assert holm([None, 0.01, 0.5]) == [None, 0.02, 0.5]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([None]) == [None]
    with pytest.raises(InputError):
        holm([1.5])


def holm_by_definition(p: list[float]) -> list[float]:
    """p~_(i) = max over j <= i of min(1, (m - j + 1) p_(j))."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    m = len(p)
    return [
        max(min(1.0, (m - j) * p[order[j]]) for j in range(order.index(i) + 1)) for i in range(m)
    ]


def test_holm_equals_its_definition():
    generator = np.random.default_rng(2)
    for size in range(1, 12):
        p = [round(float(value), 2) for value in generator.uniform(0, 0.3, size)]
        adjusted = holm(p)
        assert adjusted == pytest.approx(holm_by_definition(p))
        assert all(a >= raw for a, raw in zip(adjusted, p))
