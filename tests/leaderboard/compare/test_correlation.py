from dataclasses import replace

import pytest
from scipy import stats

from leaderboard.columns import Column
from leaderboard.compare.correlation import rank_correlations
from leaderboard.compare.side_by_side import Pair, PairedRow, PairedTable, pair_tables
from leaderboard.measured import read_measured
from leaderboard.statistics import Summary


def table(columns, rows, lower=""):
    """A table of rows of (published, measured) means, None where there is no pair.

    `lower` names the columns in which lower is better.
    """
    columns = tuple(Column(name, "dsc", "as published", name not in lower) for name in columns)
    paired = []
    for number, cells in enumerate(rows):
        pairs = [
            Pair(column, Summary(cell[0], None, 5), Summary(cell[1], None, 5))
            for column, cell in zip(columns, cells)
            if cell is not None
        ]
        paired.append(PairedRow(f"m{number}", f"M{number}", tuple(pairs)))
    return PairedTable("t", "T", "journal", "table I", (), columns, tuple(paired), ())


def test_correlations_by_hand():
    """Ranks 1, 2, 3, 4 against 2, 1, 3, 4: ρ = 1 - 6·2/60; of six pairs one is reversed."""
    (one,) = rank_correlations(table("a", [[(4, 3)], [(3, 4)], [(2, 2)], [(1, 1)]]))
    assert (one.n, one.spearman, one.kendall) == (4, pytest.approx(0.8), pytest.approx(4 / 6))


def test_average_ranks_are_those_of_rows_complete_on_both_sides():
    """The fifth row lacks a column, so that it changes no rank of the others."""
    rows = [
        [(9, 1), (9, 2)],
        [(8, 3), (7, 9)],
        [(7, 2), (8, 7)],
        [(1, 9), (2, 1)],
        [(5, 5), None],
    ]
    *by_column, average = rank_correlations(table("ab", rows))
    assert [one.n for one in by_column] == [5, 4]
    assert (average.what, average.n) == ("Average rank over 2 columns", 4)
    # Ranks per column by hand, then their means.
    published = [(1 + 1) / 2, (2 + 3) / 2, (3 + 2) / 2, (4 + 4) / 2]
    measured = [(4 + 3) / 2, (2 + 1) / 2, (3 + 2) / 2, (1 + 4) / 2]
    assert average.spearman == pytest.approx(stats.spearmanr(published, measured).statistic)
    assert average.kendall == pytest.approx(stats.kendalltau(published, measured).statistic)


def test_average_ranks_respect_columns_in_which_lower_is_better():
    rows = [
        [(9, 9), (1, 4)],
        [(8, 7), (2, 1)],
        [(7, 8), (4, 2)],
        [(6, 6), (3, 3)],
    ]
    *_, average = rank_correlations(table("ab", rows, lower="b"))
    # Of the second column rank 1 has the lowest number.
    published = [(1 + 1) / 2, (2 + 2) / 2, (3 + 4) / 2, (4 + 3) / 2]
    measured = [(1 + 4) / 2, (3 + 1) / 2, (2 + 2) / 2, (4 + 3) / 2]
    assert average.spearman == pytest.approx(stats.spearmanr(published, measured).statistic)
    assert average.kendall == pytest.approx(stats.kendalltau(published, measured).statistic)
    # The same numbers with higher is better in both columns give another answer.
    *_, other = rank_correlations(table("ab", rows))
    assert other.spearman != pytest.approx(average.spearman)
    assert other.kendall != pytest.approx(average.kendall)


def test_numbers_of_another_definition_are_no_pair():
    given = table("a", [[(4, 3)], [(3, 4)], [(2, 2)], [(1, 1)]])
    first, *rest = given.rows
    odd = replace(first, pairs=(replace(first.pairs[0], other="dsc/other"),))
    (one,) = rank_correlations(replace(given, rows=(odd, *rest)))
    assert (one.n, one.spearman) == (3, pytest.approx(1))


def test_undefined_correlations():
    (few,) = rank_correlations(table("a", [[(1, 2)], [(2, 1)], [None]]))
    assert (few.n, few.spearman, few.kendall) == (2, None, None)
    (constant,) = rank_correlations(table("a", [[(1, 2)], [(2, 2)], [(3, 2)]]))
    assert (constant.n, constant.spearman, constant.kendall) == (3, None, None)
    assert rank_correlations(table("a", [[None], [None]])) == []


def test_published_numbers_as_results_correlate_perfectly(tables, measured):
    found = [
        one
        for table in pair_tables(tables, measured, {}, lambda cell: ())
        for one in rank_correlations(table)
    ]
    defined = [one for one in found if one.spearman is not None]
    assert len(defined) > 50
    for one in defined:
        assert (one.spearman, one.kendall) == (pytest.approx(1), pytest.approx(1)), one
    main = next(one for one in found if one.what == "Average rank over 8 columns")
    assert main.n == 23


def test_a_reversed_order_correlates_negatively(tables, published_records):
    records = published_records("journal", lambda mean: 100 - mean if mean <= 100 else 1e7 - mean)
    measured = {"journal": read_measured(records, "journal")}
    paired = pair_tables(tables, measured, {}, lambda cell: ())
    detection = next(table for table in paired if table.source == "table III")
    for one in rank_correlations(detection)[:-1]:
        assert (one.spearman, one.kendall) == (pytest.approx(-1), pytest.approx(-1))
