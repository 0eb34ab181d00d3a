import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.results import label_share
from leaderboard.board import Row, Score, make_board
from leaderboard.columns import Column, column_order
from leaderboard.statistics import Summary, holm, summarize

ABOUT = {"name": "b", "title": "B", "task": "segmentation", "protocol": "p", "reference": "m0"}
COLUMNS = [
    Column("arcade_v", "dsc", "d", True),
    Column("arcade_v", "cldice", "d", True),
    Column("caxf", "dsc", "d", True),
    Column("xcav", "error", "d", False),
]


def row(name, **options):
    return Row(name, name, name.upper(), "family", "XA-170K", **options)


def seeded(values):
    return Score(summarize(values), dict(enumerate(values)))


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    return {
        f"m{i}": {c: seeded((70 + i + rng.normal(0, 2, 5)).tolist()) for c in COLUMNS}
        for i in range(5)
    }


@pytest.fixture(scope="module")
def board(scores):
    return make_board([row(name) for name in scores], scores, **ABOUT)


def test_ranks_and_average_rank_equal_pandas(board, scores):
    means = pd.DataFrame(
        {m: [s.summary.mean for s in cells.values()] for m, cells in scores.items()}
    )
    ranks = means.T
    ranks = pd.DataFrame(
        {c: ranks[c].rank(method="min", ascending=not COLUMNS[c].higher_is_better) for c in ranks}
    )
    for line in board.rows:
        assert [cell.rank for cell in line.cells] == ranks.loc[line.id].tolist()
        assert line.average_rank.mean == pytest.approx(ranks.loc[line.id].mean())
        assert line.average_rank.std == pytest.approx(ranks.loc[line.id].std(ddof=1))
    printed = [line.average_rank.mean for line in board.rows]
    assert printed == sorted(printed)


def test_tiers_are_holm_corrected_tests_against_the_best(board, scores):
    for index, column in enumerate(board.columns):
        best = next(line for line in board.rows if line.cells[index].place == 1)
        others = [line for line in board.rows if line is not best]
        base = list(scores[best.id][column].values.values())
        raw = [
            stats.ttest_rel(list(scores[line.id][column].values.values()), base).pvalue
            for line in others
        ]
        expected = [2 if p < 0.05 else 1 for p in holm(raw)]
        assert [line.cells[index].tier for line in others] == expected
        assert best.cells[index].tier == 1
    tiers = {cell.tier for line in board.rows for cell in line.cells}
    assert tiers == {1, 2}


def test_friedman_takes_the_first_metric_of_each_data_set(board):
    """Metrics of one dataset are no independent blocks."""
    blocks = [0, 2, 3]
    means = np.array([[line.cells[i].summary.mean for i in blocks] for line in board.rows])
    turned = means * [-1, -1, 1]  # rank 1 for the best: most, and least of an error
    expected = stats.friedmanchisquare(*turned)
    assert (board.friedman.n, board.friedman.k) == (3, 5)
    assert board.friedman.statistic == pytest.approx(expected.statistic)
    assert board.friedman.p == pytest.approx(expected.pvalue)
    ranks = np.apply_along_axis(stats.rankdata, 0, turned).mean(axis=1)
    assert board.friedman.mean_ranks == pytest.approx(ranks)


def test_an_incomplete_row_has_places_but_no_rank(scores):
    partial = {**scores, "new": {COLUMNS[0]: seeded([99.0])}}
    board = make_board([row(name) for name in partial], partial, **ABOUT)
    last = board.rows[-1]
    assert (last.id, last.complete, last.average_rank, last.rank_interval) == (
        "new",
        False,
        None,
        None,
    )
    assert (last.cells[0].place, last.cells[0].rank, last.cells[0].interval) == (1, None, None)
    assert last.cells[1] is None
    whole = make_board([row(name) for name in scores], scores, **ABOUT)
    kept = [[cell.rank for cell in line.cells] for line in board.rows[:-1]]
    assert kept == [[cell.rank for cell in line.cells] for line in whole.rows]
    assert board.friedman == whole.friedman


def test_context_rows_change_nothing_of_the_others(board, scores):
    published = {COLUMNS[0]: Score(Summary(99.0, 0.1, 5))}
    rows = [row("theirs", source="A paper, table 1", context=True), *map(row, scores)]
    mixed = make_board(rows, {**scores, "theirs": published}, **ABOUT)
    assert mixed.rows[:-1] == board.rows
    assert (mixed.pairs, mixed.column_pairs) == (board.pairs, board.column_pairs)
    cell = mixed.rows[-1].cells[0]
    assert (cell.place, cell.rank, cell.tier, cell.interval) == (0, None, None, None)
    assert (board.origin, mixed.origin) == ("measured", "both")


def test_the_overall_test_pairs_the_means_of_the_columns_in_percent(scores):
    decibels = {name: {**cells, Column("n", "psnr", "d", True): seeded([30.0, 31.0])}
                for name, cells in scores.items()}  # fmt: skip
    board = make_board([row(name) for name in scores], decibels, **ABOUT)
    signs = [1, 1, 1, -1]
    a, b = (
        [sign * scores[name][c].summary.mean for sign, c in zip(signs, COLUMNS)]
        for name in ("m3", "m0")
    )
    expected = stats.ttest_rel(a, b)
    test = board.column_pairs["m3", "m0"]
    assert (test.n, test.p) == (4, pytest.approx(expected.pvalue))
    # Datasets are the blocks: of each the mean of its columns.
    means = {}
    for column, left, right in zip(COLUMNS, a, b):
        means.setdefault(column.dataset, []).append((left, right))
    expected = stats.ttest_rel(*np.array([np.mean(m, axis=0) for m in means.values()]).T)
    test = board.dataset_pairs["m3", "m0"]
    assert (test.n, test.p) == (len(means), pytest.approx(expected.pvalue))


def test_rank_intervals_need_five_datasets(scores):
    board = make_board([row(name) for name in scores], scores, **ABOUT)
    assert all(line.rank_interval is None for line in board.rows)
    more = {
        name: {Column(f"d{k}", "dsc", "d", True): seeded([value + k * len(name)]) for k in range(5)}
        for name, value in zip(scores, (1.0, 2.0, 3.0, 4.0, 5.0))
    }
    whole = make_board([row(name) for name in more], more, **ABOUT)
    for line in whole.rows:
        low, high = line.rank_interval
        assert 1 <= low <= line.average_rank.mean <= high <= 5


def test_order_of_the_columns_and_what_they_are_called():
    names = ["zebra/map", "denoising/psnr", "xcav/dsc", "arcade_v/cldice", "arcade_v-10pct/dsc",
             "arcade_v/dsc", "arcade_v-2.5pct/dsc", "zebra/aaa", "zebra/dsc"]  # fmt: skip
    columns = sorted((Column(*name.split("/"), "d", True) for name in names), key=column_order)
    assert [column.id for column in columns] == [
        *("arcade_v-2.5pct/dsc", "arcade_v-10pct/dsc", "arcade_v/dsc", "arcade_v/cldice"),
        *("xcav/dsc", "denoising/psnr", "zebra/dsc", "zebra/map", "zebra/aaa"),
    ]
    assert columns[1].title == "ARCADE-V, 10 % DSC"
    assert [(c.label, c.unit) for c in columns[5:7]] == [("PSNR", "dB"), ("DSC", "%")]
    assert label_share("arcade_v-2.5pct") == ("arcade_v", 2.5)
    assert label_share("pct") == ("pct", 100.0)


def test_one_row_is_a_board_without_tests():
    alone = {"m0": {COLUMNS[0]: seeded([1.0, 2.0])}}
    board = make_board([row("m0")], alone, **ABOUT)
    (line,) = board.rows
    assert line.average_rank == Summary(1.0, None, 1)
    assert (board.friedman, board.pairs, board.dataset_pairs) == (None, ({},), {})
    assert math.isfinite(line.cells[0].summary.std)
