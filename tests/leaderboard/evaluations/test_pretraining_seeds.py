"""Seeds of the pre-training and of the fine-tuning, told apart."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from scipy import stats

from leaderboard.evaluations.pretraining_seeds import variance_components
from leaderboard.tables.long_format import to_csv

RUNS = {
    "mae": (70.0, 71.0, 72.0),
    "analysis-mae_seed_1": (74.0, 75.0, 76.0),
    "analysis-mae_seed_2": (72.0, 73.0, 74.0),
    "vasomim": (80.0, 81.0, 82.0),
    "analysis-vasomim_seed_1": (79.0, 81.0, 83.0),
    "analysis-vasomim_seed_2": (80.5, 81.0, 81.5),
}


def test_components_by_hand():
    """Within: all variances are 1. Between the means 71, 75, 73: 4, of which 1 / 3 is noise."""
    found = variance_components([RUNS["mae"], *(RUNS[f"analysis-mae_seed_{k}"] for k in (1, 2))])
    assert found.means == (71.0, 75.0, 73.0)
    assert found.fine_tuning == pytest.approx(1)
    assert found.pretraining == pytest.approx(math.sqrt(4 - 1 / 3))


def test_no_more_spread_than_noise_is_zero():
    found = variance_components([(1.0, 3.0), (1.0, 3.0)])
    assert (found.fine_tuning, found.pretraining) == (pytest.approx(math.sqrt(2)), 0.0)


@pytest.mark.parametrize("runs", [[(1.0, 2.0)], [(1.0,), (2.0,)], []])
def test_one_source_alone_has_no_components(runs):
    assert variance_components(runs) is None


@pytest.mark.parametrize("counts", [(5, 5, 5), (3, 5, 9, 2)])
def test_variances_are_unbiased(counts):
    """Means over simulated runs of known variances 4 and 1, unequal numbers too."""
    rng = np.random.default_rng(7)
    squares = []
    for _ in range(4000):
        runs = [rng.normal(rng.normal(50, 2), 1, size=n).tolist() for n in counts]
        found = variance_components(runs)
        squares.append((found.pretraining**2, found.fine_tuning**2))
    # Truncation at 0 adds a little to the first.
    means = np.mean(squares, axis=0)
    assert means[0] == pytest.approx(4, rel=0.08)
    assert means[1] == pytest.approx(1, rel=0.03)


def test_the_board_has_a_row_for_each_method(build, make_run):
    records = [
        make_run(method, "xcav", seed, dsc=value)
        for method, values in RUNS.items()
        for seed, value in enumerate(values)
    ]
    leaderboard = build(records)
    board = next(b for b in leaderboard.boards if b.id == "analysis-pretraining_seeds")
    assert [row.method for row in board.rows] == list(RUNS)
    (detail,) = board.details
    cells = {row.texts: [cell.text for cell in row.cells] for row in detail.rows}
    # What Welch's test is without other spread.
    test = stats.ttest_1samp((71.0, 75.0, 73.0), 81.0)
    low, high = (81 - end for end in test.confidence_interval()[::-1])
    difference = f"+8.00 [+{low:.2f}, +{high:.2f}] (p = {test.pvalue:#.2g})"
    within = math.sqrt((1 + 4 + 0.25) / 3)
    assert cells == {
        ("MAE",): ["73.00 (n = 3)", "1.00", "1.91", "—"],
        ("VasoMIM",): [
            "81.00 (n = 3)",
            f"{within:.2f}",
            "0.00",
            difference,
        ],
    }
    lines = csv.DictReader(io.StringIO(to_csv(leaderboard)))
    (line,) = (one for one in lines if one["metric"] == "dsc_pretraining_difference")
    ends = [float(line[name]) for name in ("mean_low", "mean_high")]
    assert (float(line["mean"]), ends) == (8.0, pytest.approx([low, high]))


def test_frozen_features_have_the_table_and_no_row_for_a_repetition(build, make_run):
    """Another seed is no other method: it takes no rank, and no place in the family."""
    records = [
        make_run(method, "xcav-linear", seed, dsc=value)
        for method, values in RUNS.items()
        for seed, value in enumerate(values)
    ]
    (board,) = (b for b in build(records).boards if b.is_evaluation)
    assert [row.method for row in board.rows] == ["vasomim", "mae"]
    assert [row.average_rank.mean for row in board.rows] == [1, 2]
    (detail,) = board.details
    assert [title for _, title in detail.columns][1] == "σ evaluation"
    assert [row.cells[0].text for row in detail.rows] == ["73.00 (n = 3)", "81.00 (n = 3)"]
    # Without the method itself in this table, a repetition is shown.
    alone = [record for record in records if record.method != "mae"]
    alone += [make_run("mae", "xcav", seed, dsc=70.0 + seed) for seed in range(3)]
    (board,) = (b for b in build(alone).boards if b.is_evaluation)
    assert {row.method for row in board.rows} == {
        "vasomim",
        "analysis-mae_seed_1",
        "analysis-mae_seed_2",
    }


def test_a_single_pretraining_has_no_such_table(build, make_run):
    records = [make_run(m, "xcav", s, dsc=70.0 + s) for m in ("mae", "vasomim") for s in (0, 1)]
    assert not any(board.details for board in build(records).boards)
