import numpy as np
import pytest
from scipy import stats

from leaderboard.pairwise import pairwise_t
from leaderboard.statistics import pair_by_seed, paired_t


def test_every_pair_equals_scipy():
    rng = np.random.default_rng(0)
    values = {f"m{i}": dict(enumerate(rng.normal(80, 1, 5).tolist())) for i in range(6)}
    tests = pairwise_t(values)
    assert len(tests) == 30
    for (a, b), test in tests.items():
        expected = stats.ttest_rel(list(values[a].values()), list(values[b].values()))
        interval = expected.confidence_interval(0.95)
        assert (test.t, test.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
        assert (test.ci_low, test.ci_high) == pytest.approx(interval, rel=1e-10)


def test_every_case_is_the_single_test():
    """Missing seeds, one seed, no common seed, equal values and a constant difference included."""
    values = {
        "a": {0: 79.2, 1: 79.9, 2: 80.3},
        "same": {2: 80.3, 1: 79.9, 0: 79.2},
        "shifted": {0: 78.2, 1: 78.9, 2: 79.3},
        "two": {0: 70.0, 2: 71.5},
        "one": {1: 60.0},
        "other": {7: 50.0, 8: 51.0},
        "more": {0: 81.0, 1: 83.0, 2: 80.0, 3: 99.0},
        "nothing": {0: 1e-300, 1: 2e-300, 2: 4e-300},
        "hardly": {0: 0.0, 1: 5e-324, 2: 1e-300},
    }
    tests = pairwise_t(values)
    assert len(tests) == 9 * 8
    for (a, b), test in tests.items():
        pairing = pair_by_seed(values[a], values[b])
        single = paired_t(pairing.a, pairing.b)
        assert (test.n, test.note) == (single.n, single.note), (a, b)
        for name in ("difference", "ci_low", "ci_high", "t", "p"):
            ours, theirs = getattr(test, name), getattr(single, name)
            assert ours == (None if theirs is None else pytest.approx(theirs, rel=1e-10)), (a, b)
    notes = {test.note for test in tests.values()}
    assert notes == {"", "identical", "constant difference", "n < 2", "no common seeds"}


def test_the_test_is_antisymmetric_to_the_last_bit():
    rng = np.random.default_rng(1)
    values = {name: dict(enumerate(rng.normal(80, 1, 4).tolist())) for name in "abc"}
    tests = pairwise_t(values)
    for a, b in (("a", "b"), ("b", "c"), ("a", "c")):
        assert tests[a, b].difference == -tests[b, a].difference
        assert tests[a, b].ci_low == -tests[b, a].ci_high
        assert tests[a, b].p == tests[b, a].p


def test_nothing_to_compare():
    assert pairwise_t({}) == {}
    assert pairwise_t({"alone": {0: 1.0}}) == {}
