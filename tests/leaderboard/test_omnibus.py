import math

import numpy as np
import pytest
from scipy import stats

from leaderboard.omnibus import friedman

# Demšar (JMLR 7, 2006), table 6: AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 datasets.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.975, 0.973],
        [0.957, 0.978, 0.946, 0.970],
    ]
).T


def test_the_worked_example_of_demsar():
    result = friedman(DEMSAR, [True] * 14)
    assert (result.n, result.k) == (14, 4)
    assert [round(rank, 3) for rank in result.mean_ranks] == [3.143, 2.000, 2.893, 1.964]
    # The paper's 9.28 is not corrected for ties: three pairs and a four, 3 * 6 + 60 of 14 * 4 * 15.
    assert round((1 - 78 / 840) * result.statistic, 2) == 9.28
    assert round(result.critical_difference, 2) == 1.25
    # "Even the difference between the best and the worst is smaller than that."
    assert result.groups == ((3, 1, 2, 0),)


# Table 5(a) of the same paper, from tables with two decimals of the studentised range.
Q_05 = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}


def critical_q(k: int) -> float:
    """The q_alpha behind the critical difference of k rows and 5 columns."""
    means = np.random.default_rng(k).uniform(size=(k, 5))
    return friedman(means, [True] * 5).critical_difference / math.sqrt(k * (k + 1) / 30)


@pytest.mark.parametrize("k", range(3, 11))
def test_critical_differences_are_those_of_the_published_table(k):
    assert critical_q(k) == pytest.approx(Q_05[k], abs=1.1e-3)


@pytest.mark.parametrize("k", [3, 4, 10, 23, 30, 60])
def test_critical_differences_equal_scipy(k):
    expected = stats.studentized_range.ppf(0.95, k, np.inf) / math.sqrt(2)
    assert critical_q(k) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("k", "n"), [(3, 2), (5, 8), (23, 12), (30, 20)])
@pytest.mark.parametrize("levels", [None, 4])
def test_friedman_equals_scipy(k, n, levels):
    generator = np.random.default_rng([k, n])
    means = generator.normal(80, 2, (k, n)) + generator.normal(0, 1, (k, 1))
    if levels:
        means = generator.integers(0, levels, (k, n)).astype(float)  # ties
    result, theirs = friedman(means, [True] * n), stats.friedmanchisquare(*means)
    assert result.statistic == pytest.approx(theirs.statistic, abs=1e-10)
    assert result.p == pytest.approx(theirs.pvalue, abs=1e-10)
    expected = stats.rankdata(-means, axis=0).mean(axis=1)
    np.testing.assert_allclose(result.mean_ranks, expected, atol=1e-12)


def test_a_column_where_lower_is_better_is_turned():
    higher = [index % 2 == 0 for index in range(14)]
    turned = np.where(higher, DEMSAR, -DEMSAR)
    assert friedman(turned, higher) == friedman(DEMSAR, [True] * 14)


def test_groups_are_the_largest_sets_within_the_critical_difference():
    # The same order in ten columns: mean ranks 1 … 5 and a critical difference of
    # 2.728 sqrt(5 * 6 / 60) = 1.93, so only neighbours in rank are joined.
    means = np.tile(np.array([[50.0], [10.0], [40.0], [20.0], [30.0]]), 10)
    result = friedman(means, [True] * 10)
    assert result.mean_ranks == (1.0, 5.0, 2.0, 4.0, 3.0)
    assert result.critical_difference == pytest.approx(1.929, abs=1e-3)
    assert result.groups == ((0, 2), (2, 4), (4, 3), (3, 1))
    assert result.note == ""
    # In four columns it is 3.05, and the bars overlap; in forty 0.96, and nothing is joined.
    assert friedman(np.tile(means[:, :1], 4), [True] * 4).groups == ((0, 2, 4, 3), (2, 4, 3, 1))
    assert friedman(np.tile(means[:, :1], 40), [True] * 40).groups == ()


def test_a_test_that_does_not_reject_says_so():
    result = friedman([[1.0, 2.0, 3.0], [2.0, 3.0, 1.0], [3.0, 1.0, 2.0]], [True] * 3)
    assert result.statistic == 0.0
    assert result.p == 1.0
    assert result.note == "equal rows are not rejected at 0.05: gaps are no findings"


def test_equal_rows_have_a_note_and_no_p():
    result = friedman(np.full((4, 6), 80.0), [True] * 6)
    assert (result.statistic, result.p) == (None, None)
    assert result.mean_ranks == (2.5,) * 4
    assert result.groups == ((0, 1, 2, 3),)
    assert result.note == "all rows are equal in every column"


@pytest.mark.parametrize(
    ("shape", "note"),
    [
        ((2, 5), "fewer than 3 rows: not tested"),
        ((0, 5), "fewer than 3 rows: not tested"),
        ((4, 1), "fewer than 2 columns: not tested"),
        ((4, 0), "fewer than 2 columns: not tested"),
    ],
)
def test_too_few_rows_or_columns_are_not_tested(shape, note):
    means = np.random.default_rng(0).uniform(size=shape)
    result = friedman(means, [True] * shape[1])
    assert (result.k, result.n, result.note) == (*shape, note)
    assert (result.statistic, result.p, result.critical_difference) == (None, None, None)
    assert result.groups == ()
    assert len(result.mean_ranks) == (shape[0] if shape[1] else 0)
