import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from leaderboard.statistics import (
    PairedT,
    average_rank,
    benjamini_hochberg,
    competition_ranks,
    holm,
    mean_interval,
    mid_ranks,
    p_text,
    pairwise_t,
    summarize,
    tie_term,
    tiers,
    welch_test,
)


def paired_t(a: Sequence[float], b: Sequence[float]) -> PairedT:
    return pairwise_t({"a": dict(enumerate(a)), "b": dict(enumerate(b))})["a", "b"]


def test_summary_by_hand():
    # Deviations -1, 0, 1: sum of squares 2, divided by n - 1 = 2.
    result = summarize([79.0, 80.0, 81.0])
    assert (result.mean, result.std, result.n) == (80.0, 1.0, 3)
    assert summarize([41.3]).std is None
    assert summarize([41.3] * 5).std == 0.0


def test_summary_does_not_depend_on_the_order():
    values = np.random.default_rng(0).uniform(0, 100, 7)
    assert (
        len({summarize(np.random.default_rng(k).permutation(values)).mean for k in range(50)}) == 1
    )


def test_competition_ranks_by_hand():
    values = [80.0, 90.0, None, 80.0, 70.0]
    assert competition_ranks(values, higher_is_better=True) == [2, 1, None, 2, 4]
    assert competition_ranks(values, higher_is_better=False) == [2, 4, None, 2, 1]
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
    expected = [theirs.pvalue, interval.low, interval.high]
    got = [ours.p, ours.ci_low, ours.ci_high]
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    assert (ours.n, ours.note) == (n, "")


def test_paired_t_by_hand():
    # Differences 1, 2, 3: mean 2, std 1, t = 2 sqrt(3), and for 2 degrees of freedom the
    # distribution has a closed form, p = 1 - t / sqrt(2 + t^2).
    result = paired_t([81.0, 82.0, 83.0], [80.0, 80.0, 80.0])
    t = 2 * math.sqrt(3)
    assert result.difference == 2.0
    assert result.p == pytest.approx(1 - t / math.sqrt(2 + t * t), rel=1e-12)


def test_identical_values_have_no_p():
    values = [79.9, 80.1, 80.3]
    result = paired_t(values, values)
    assert (result.n, result.difference, result.p) == (3, 0.0, None)
    assert result.note == "identical"


@pytest.mark.parametrize("shift", [1.0, -0.1, 0.3])
def test_a_constant_difference_has_no_p(shift):
    b = np.random.default_rng(1).uniform(70, 90, 5)
    # b + shift is rounded, so the differences are equal only up to the last bits.
    result = paired_t(b + shift, b)
    assert result.note == "constant difference"
    assert result.difference == pytest.approx(shift)
    assert (result.p, result.ci_low, result.ci_high) == (None, None, None)


@pytest.mark.parametrize("size", [1e-300, 1e-160, 5e-324])
def test_differences_whose_squares_float64_cannot_hold_are_none(size):
    a, b = [3 * size, size, 2 * size], [size, size, size]
    assert (a[0] - b[0]) ** 2 < 1e-300  # where a variance would have lost its digits or be 0
    for test in (paired_t(a, b), paired_t(b, a), paired_t(a, [0.0] * 3)):
        assert (test.n, test.note, test.p) == (3, "identical", None)
    assert mean_interval(a) is None


@pytest.mark.parametrize("size", [1e-140, 1e-15, 1.0])
def test_the_paired_test_does_not_depend_on_the_unit(size):
    a, b = np.array([3.0, 1.5, 2.0]), np.array([1.0, 1.0, 0.5])
    scaled, plain = paired_t(a * size, b * size), stats.ttest_rel(a, b)
    assert scaled.p == pytest.approx(plain.pvalue, rel=1e-12)


def test_too_few_pairs():
    assert pairwise_t({"alone": {0: 1.0}}) == {}
    assert paired_t([], []).note == "no common seeds"
    assert paired_t([], []).difference is None
    single = paired_t([81.0], [80.0])
    assert (single.n, single.difference, single.p, single.note) == (1, 1.0, None, "n < 2")


def test_pairs_are_those_of_the_common_seeds_in_any_order():
    values = {
        "a": {0: 79.2, 1: 79.9, 2: 80.3},
        "same": {2: 80.3, 1: 79.9, 0: 79.2},
        "shifted": {0: 78.2, 1: 78.9, 2: 79.3},
        "two": {2: 71.5, 0: 70.0},
        "one": {1: 60.0},
        "other": {7: 50.0, 8: 51.0},
        "more": {0: 81.0, 1: 83.0, 2: 80.0, 3: 99.0},
        "nothing": {0: 1e-300, 1: 2e-300, 2: 4e-300},
        "hardly": {0: 0.0, 1: 5e-324, 2: 1e-300},
    }
    tests = pairwise_t(values)
    assert len(tests) == 9 * 8
    for (a, b), test in tests.items():
        common = sorted(values[a].keys() & values[b].keys())
        first, second = ([values[name][seed] for seed in common] for name in (a, b))
        assert test.n == len(common)
        if test.n:
            difference = np.subtract(first, second).mean()
            assert test.difference == pytest.approx(difference, rel=1e-12)
        if not test.note:
            assert test.p == pytest.approx(stats.ttest_rel(first, second).pvalue)
    notes = {pair: test.note for pair, test in tests.items()}
    assert notes["a", "same"] == notes["nothing", "hardly"] == "identical"
    assert notes["a", "shifted"] == "constant difference"
    assert notes["two", "one"] == notes["a", "other"] == "no common seeds"
    assert notes["a", "one"] == "n < 2"
    assert notes["a", "two"] == notes["more", "a"] == notes["two", "more"] == ""


def test_the_test_is_antisymmetric_to_the_last_bit():
    rng = np.random.default_rng(1)
    values = {name: dict(enumerate(rng.normal(80, 1, 4).tolist())) for name in "abc"}
    tests = pairwise_t(values)
    for a, b in (("a", "b"), ("b", "c"), ("a", "c")):
        assert tests[a, b].difference == -tests[b, a].difference
        assert tests[a, b].ci_low == -tests[b, a].ci_high
        assert tests[a, b].p == tests[b, a].p


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 with m = 4: .01*4 = .04, .02*3 = .06, .03*2 = .06, .04*1 = .04 -> .06.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    # None is outside the family: m = 2.
    assert holm([None, 0.01, 0.5]) == [None, 0.02, 0.5]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([None]) == [None]


@pytest.mark.parametrize("size", [1, 2, 19, 200])
@pytest.mark.parametrize(
    ("correction", "name"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")], ids=["holm", "bh"]
)
def test_corrections_equal_statsmodels(correction, name, size):
    # Cubed for many small values; the rounded ones hold ties, zeros and ones.
    p = np.random.default_rng(size).uniform(0, 1, size) ** 3
    for values in (p, np.round(p, 1)):
        expected = multipletests(values, method=name)[1]
        np.testing.assert_allclose(correction(list(values)), expected, rtol=0, atol=1e-10)


def test_benjamini_hochberg_by_hand():
    # Sorted .01 .02 .03 .04, m = 4: .04 * 4/4, min with .03 * 4/3, with .02 * 4/2, with .01 * 4.
    assert benjamini_hochberg([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.04] * 4)
    # None is outside the family: m = 2.
    assert benjamini_hochberg([None, 0.01, 0.5]) == [None, 0.02, 0.5]
    assert benjamini_hochberg([]) == []
    assert benjamini_hochberg([None]) == [None]


@pytest.mark.parametrize("n", [2, 5, 40])
def test_mean_interval_equals_scipy(n):
    values = np.random.default_rng(n).normal(80, 2, n)
    expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    np.testing.assert_allclose(mean_interval(list(values)), expected, rtol=1e-12)


def test_mean_interval_without_spread_is_undefined():
    assert mean_interval([80.0]) is None
    assert mean_interval([80.0] * 5) is None
    assert mean_interval([0.1 + 0.2, 0.3]) is None  # the same up to rounding


def test_mid_ranks_equal_scipy():
    generator = np.random.default_rng(3)
    for size in (1, 2, 9, 50):
        values = generator.integers(0, 6, size).astype(float)
        ranks = mid_ranks(values)
        np.testing.assert_array_equal(ranks, stats.rankdata(values))
        counts = np.unique(values, return_counts=True)[1]
        assert tie_term(ranks) == sum(int(count) ** 3 - int(count) for count in counts)


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def tiers_of(rows, higher_is_better=True):
    """The tier of each row (seed → value) of a column, None without one."""
    values = {str(index): row for index, row in enumerate(rows) if row}
    means = {row: summarize(list(runs.values())).mean for row, runs in values.items()}
    found = tiers(means, pairwise_t(values), higher_is_better)
    return [found.get(str(index)) for index in range(len(rows))]


BEST = seeds(80.0, 80.4, 80.2, 80.1, 80.3)
NEAR = seeds(79.9, 80.5, 80.0, 80.3, 79.9)
FAR = seeds(70.1, 70.2, 70.0, 70.4, 70.1)


def test_tiers_follow_the_corrected_tests_against_the_best():
    assert tiers_of([FAR, BEST, None, NEAR, {}], True) == [2, 1, None, 1, None]
    # Where lower is better, the other end is the best.
    assert tiers_of([FAR, BEST, None, NEAR, {}], False) == [1, 2, None, 2, None]
    assert tiers_of([None, None], True) == [None, None]
    # Without a test nothing is known of anybody, not even of the best.
    assert tiers_of([seeds(80.0), seeds(79.0)], True) == [None, None]
    assert tiers_of([BEST], True) == [None]
    assert tiers_of([], True) == []


def test_tiers_are_corrected_by_the_number_of_rows():
    # Alone this row is separable; among twenty rows its p-value does not survive.
    row = {seed: value - 0.3 + 0.1 * (-1) ** seed for seed, value in BEST.items()}
    p = stats.ttest_rel(list(BEST.values()), list(row.values())).pvalue
    assert 0.05 / 20 < p < 0.05
    assert tiers_of([BEST, row], True) == [1, 2]
    assert tiers_of([BEST, row] + [NEAR] * 19, True)[:2] == [1, 1]


def test_a_row_whose_test_is_undefined_has_no_tier():
    one_seed, other_seeds = {0: 70.0}, {7: 70.0, 8: 70.1}
    constant = {seed: value - 1.0 for seed, value in BEST.items()}
    rows = [BEST, one_seed, other_seeds, constant, FAR]
    assert tiers_of(rows, True) == [1, None, None, None, 2]
    # A best with one seed leaves everything open.
    assert tiers_of([{0: 99.0}, BEST, FAR], True) == [None, None, None]


def test_tied_best_rows_share_the_first_tier_in_any_order():
    # The same values at other seeds are just as good. The last row follows BEST at a small distance
    # and is separable from it, but not from the shuffled one: one such test is enough for tier 1.
    shuffled = seeds(80.4, 80.0, 80.1, 80.3, 80.2)
    following = seeds(79.9, 80.28, 80.12, 80.0, 80.19)
    assert tiers_of([BEST, FAR, following], True) == [1, 2, 2]
    rows = (BEST, shuffled, FAR, following)
    for order in itertools.permutations(rows):
        tiers = tiers_of(order, True)
        assert [tiers[order.index(row)] for row in rows] == [1, 1, 2, 1]


def test_the_best_is_not_separable_from_what_prints_the_same():
    best = {0: 79.0, 1: 79.5, 2: 80.1}
    hair = {seed: score - 0.0040 - seed / 1e5 for seed, score in best.items()}
    step = {seed: score - 0.0060 - seed / 1e5 for seed, score in best.items()}
    assert paired_t(list(hair.values()), list(best.values())).p < 1e-4
    assert tiers_of([best, hair, step], higher_is_better=True) == [1, 1, 2]


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (None, "p not defined"),
        (0.0, "p < 1e-300"),
        (1.234e-12, "p = 1.2e-12"),
        (1.18e-4, "p = 1.2e-04"),
        (0.001, "p = 0.0010"),
        (0.01234, "p = 0.012"),
        # Never rounded up to the level.
        (0.0498, "p = 0.0498"),
        (0.04996, "p = 0.04996"),
        (0.049999, "p = 0.049999"),
        (0.05, "p = 0.050"),
        (0.6339, "p = 0.63"),
        (1.0, "p = 1.0"),
    ],
)
def test_p_values_print_two_significant_digits(p, words):
    assert p_text(p) == words


def test_welch_is_that_of_scipy():
    rng = np.random.default_rng(3)
    for sizes in ((3, 3), (2, 7), (5, 4)):
        a, b = (rng.normal(80, spread, n).tolist() for spread, n in zip((1, 3), sizes))
        expected = stats.ttest_ind(a, b, equal_var=False)
        interval = expected.confidence_interval()
        test = welch_test(a, b)
        assert test == pytest.approx((expected.pvalue, interval.low, interval.high), rel=1e-9)
    assert welch_test([1.0], [1.0, 2.0]) is None
    assert welch_test([1.0, 1.0], [2.0, 2.0]) is None
