import itertools
import math

import numpy as np
import pytest
from scipy import stats

from leaderboard.resampling import Bootstrap, paired_bootstrap, rank_intervals, sign_flip


def grouped(n_clusters: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Differences of images that resemble each other within a patient, 1 to 7 images each."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, 8, n_clusters)
    values = [generator.normal(generator.normal(0.5, 1), 0.3, size) for size in sizes]
    names = [f"patient {k}" for k, size in enumerate(sizes) for _ in range(size)]
    return np.concatenate(values), names


def expanded_levels(n: int) -> list[float]:
    """Percentile levels of the interval, from scipy's distributions."""
    tail = stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf(0.025, n - 1))
    return [tail, 1 - tail]


def test_bootstrap_of_five_images_by_enumeration():
    # All 3125 resamples of five values; random draws must find their quantiles.
    values = np.array([0.0, 0.0, 0.0, 5.0, 5.0])
    means = [np.mean(sample) for sample in itertools.product(values, repeat=5)]
    result = paired_bootstrap(values, draws=50_000)
    expected = np.quantile(means, expanded_levels(5), method="inverted_cdf")
    assert (result.n_images, result.n_clusters, result.difference) == (5, None, 2.0)
    assert [result.ci_low, result.ci_high] == pytest.approx(expected)


@pytest.mark.parametrize("known", [True, False])
def test_bootstrap_agrees_with_plain_resampling(known):
    differences, names = grouped(12)
    units = [np.flatnonzero(np.array(names) == name) for name in dict.fromkeys(names)]
    if not known:
        units = [np.array([index]) for index in range(len(differences))]
    generator = np.random.default_rng(99)
    means = []
    for _ in range(20_000):
        drawn = [units[k] for k in generator.integers(len(units), size=len(units))]
        means.append(differences[np.concatenate(drawn)].mean())
    result = paired_bootstrap(differences, names if known else None, draws=20_000)
    expected = np.quantile(means, expanded_levels(len(units)))
    assert result.difference == pytest.approx(differences.mean(), abs=1e-14)
    assert result.n_clusters == (12 if known else None)
    # Two independent sets of draws differ by their noise, far below the width of about 1.
    np.testing.assert_allclose([result.ci_low, result.ci_high], expected, atol=0.03)


def test_bootstrap_of_many_images_is_close_to_the_t_interval():
    differences = np.random.default_rng(1).normal(0.2, 1, 500)
    result = paired_bootstrap(differences)
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    np.testing.assert_allclose([result.ci_low, result.ci_high], interval, atol=0.006)


def test_images_of_one_patient_widen_the_interval():
    generator = np.random.default_rng(2)
    differences = np.repeat(generator.normal(0, 1, 20), 10)  # ten equal images of each patient
    names = [f"p{index // 10}" for index in range(200)]
    clustered, naive = paired_bootstrap(differences, names), paired_bootstrap(differences)
    ratio = (clustered.ci_high - clustered.ci_low) / (naive.ci_high - naive.ci_low)
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)
    assert sign_flip(differences, names) > sign_flip(differences)


def test_names_of_patients_and_unknown_patients():
    differences, names = grouped(9, seed=3)
    renamed = [f"study-{name[::-1]}" for name in names]
    assert paired_bootstrap(differences, names) == paired_bootstrap(differences, renamed)
    # No patient known at all is the same as no list; an image of unknown patient stands alone,
    # whatever the others are called.
    empty = [""] * len(differences)
    assert paired_bootstrap(differences, empty) == paired_bootstrap(differences)
    assert paired_bootstrap([1.0, 2.0, 3.0, 4.0], ["1", "", "1", ""]).n_clusters == 3


@pytest.mark.parametrize(
    ("differences", "clusters", "expected"),
    [
        ([], None, Bootstrap(0, None, None, None, None, "no common images")),
        ([1.0, 2.0, 3.0, 6.0], None, Bootstrap(4, None, 3.0, None, None, "fewer than 5 images")),
        ([0.5, 1.5, 4.0], list("aab"), Bootstrap(3, 2, 2.0, None, None, "fewer than 5 patients")),
        ([0.0] * 4, None, Bootstrap(4, None, 0.0, None, None, "identical")),
        ([0.5] * 4, None, Bootstrap(4, None, 0.5, None, None, "constant difference")),
        # Not constant over the images, but over the patients, which are what is drawn.
        ([1.0, 3.0, 2.0], ["a", "a", "b"], Bootstrap(3, 2, 2.0, None, None, "constant difference")),
    ],
)
def test_bootstrap_where_undefined(differences, clusters, expected):
    assert paired_bootstrap(np.array(differences), clusters) == expected


def sign_flip_by_enumeration(sums: np.ndarray) -> float:
    flipped = [
        abs(math.fsum(sign * value for sign, value in zip(signs, sums)))
        for signs in itertools.product([-1, 1], repeat=len(sums))
    ]
    return float(np.mean(np.array(flipped) >= abs(math.fsum(sums)) - 1e-12))


@pytest.mark.parametrize("n", [1, 2, 5, 11])
def test_sign_flip_equals_the_enumeration(n):
    differences, names = grouped(n, seed=n)
    sums = np.array([differences[np.array(names) == name].sum() for name in dict.fromkeys(names)])
    assert sign_flip(differences, names) == sign_flip_by_enumeration(sums)
    assert sign_flip(differences[:n]) == sign_flip_by_enumeration(differences[:n])


def test_sign_flip_by_hand():
    # Of the eight patterns of 1, 2, 4 only +++ and --- reach 7.
    assert sign_flip([1.0, 2.0, 4.0]) == 2 / 8
    # -1, 2, 4 sums to 5, which +-+ to 7 exceed and reach: 7, 5 and their opposites.
    assert sign_flip([-1.0, 2.0, 4.0]) == 4 / 8
    assert sign_flip([0.0, 0.0]) == 1.0
    assert sign_flip([]) is None


def test_sign_flip_counts_ties_in_spite_of_rounding():
    # 0.1 + 0.2 - 0.3 is not 0 in floats, but each pattern that reaches 0.4 reaches it exactly.
    values = np.array([0.1, 0.2, 0.3, -0.2])
    whole = np.array([1.0, 2.0, 3.0, -2.0])
    assert sign_flip(values) == sign_flip(whole)


def test_sign_flip_is_exact_as_long_as_it_is_cheap():
    differences = np.random.default_rng(7).normal(0.4, 1, 10)
    exact = sign_flip_by_enumeration(differences)
    assert sign_flip(differences, draws=1024) == exact
    drawn = sign_flip(differences, draws=1023)
    # (k + 1) / (draws + 1): a whole number of 1024ths, near the exact value.
    assert drawn * 1024 == round(drawn * 1024)
    assert drawn == pytest.approx(exact, abs=5 * math.sqrt(exact / 1023))


def test_random_sign_flips_are_never_zero_and_agree_with_scipy():
    generator = np.random.default_rng(8)
    assert sign_flip(generator.normal(5, 1, 100), draws=999) == 1 / 1000
    differences = generator.normal(0.15, 1, 60)
    theirs = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=20_000,
        rng=np.random.default_rng(9),
        vectorized=True,
    ).pvalue
    assert sign_flip(differences, draws=20_000) == pytest.approx(theirs, abs=0.02)


MEANS = np.array(
    [
        [90.0, 80.0, 70.0, 60.0, 75.0],
        [85.0, 82.0, 65.0, 60.0, 78.0],
        [80.0, 70.0, 60.0, 50.0, 55.0],
    ]
)
# Ranks per column: 1 2 1 1 2 · 2 1 2 1 1 (ties share the better rank) · 3 3 3 3 3.
RANKS = np.array([[1, 2, 1, 1, 2], [2, 1, 2, 1, 1], [3, 3, 3, 3, 3]])


def test_rank_intervals_by_enumeration():
    draws = list(itertools.product(range(5), repeat=5))
    means = np.array([RANKS[:, list(drawn)].mean(axis=1) for drawn in draws])
    expected = np.quantile(means, expanded_levels(5), axis=0, method="inverted_cdf").T
    result = rank_intervals(MEANS, [True] * 5, list("abcde"), draws=50_000)
    np.testing.assert_allclose(result, expected)
    assert result[2].tolist() == [3.0, 3.0]


def test_rank_intervals_know_the_direction_of_each_column():
    higher = [True, False, True, False, True]
    turned = np.where(higher, MEANS, -MEANS)
    expected = rank_intervals(MEANS, [True] * 5, list("abcde"))
    np.testing.assert_array_equal(rank_intervals(turned, higher, list("abcde")), expected)


def test_rank_intervals_draw_whole_datasets():
    columns = [0, 1, 1, 2, 3, 4]
    blocks = [np.array([0]), np.array([1, 2]), np.array([3]), np.array([4]), np.array([5])]
    ranks = RANKS[:, columns]
    means = [
        ranks[:, np.concatenate([blocks[k] for k in drawn])].mean(axis=1)
        for drawn in itertools.product(range(5), repeat=5)
    ]
    expected = np.quantile(means, expanded_levels(5), axis=0, method="inverted_cdf").T
    result = rank_intervals(MEANS[:, columns], [True] * 6, list("abbcde"), draws=50_000)
    np.testing.assert_allclose(result, expected)


def test_rank_intervals_where_undefined():
    for datasets in ("aaaaa", "abcda"):  # fewer than five
        assert np.isnan(rank_intervals(MEANS, [True] * 5, list(datasets))).all()
    assert rank_intervals(np.zeros((0, 3)), [True] * 3, list("abc")).shape == (0, 2)
