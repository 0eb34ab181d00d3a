import itertools
import re

import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from leaderboard.comparisons import by_reference, comparisons, is_large, overall, references
from leaderboard.data import board_data
from leaderboard.tables.markdown import to_markdown


@pytest.fixture
def board(build, records):
    return build(records).boards[0]


def found(tests):
    return {(c.row.id, c.column.id): c for c in tests}


def test_tests_equal_scipy_and_the_corrections_run_within_the_data_set(
    board, mae_scores, vaso_scores
):
    cldice = [mae + 1.6 - seed / 10 for seed, mae in enumerate(mae_scores)]
    reference = [mae + 1.5 for mae in mae_scores]
    raw = [
        stats.ttest_rel(vaso_scores, mae_scores).pvalue,
        stats.ttest_rel([41.3] * 5, mae_scores).pvalue,
        stats.ttest_rel(cldice, reference).pvalue,
        stats.ttest_rel([40.91] * 5, reference).pvalue,
    ]
    tests = found(comparisons(board, "mae"))
    keys = list(itertools.product(("arcade_v/dsc", "arcade_v/cldice"), ("vasomim", "frangi")))
    chosen = [tests[row, column] for column, row in keys]
    assert [c.test.p for c in chosen] == pytest.approx(raw, rel=1e-9)
    assert [c.p_holm for c in chosen] == pytest.approx(multipletests(raw, method="holm")[1])
    assert [c.p_bh for c in chosen] == pytest.approx(multipletests(raw, method="fdr_bh")[1])
    # On XCAV VasoMIM equals MAE seed by seed, which leaves one test: nothing to correct.
    assert tests["vasomim", "xcav/dsc"].p_holm is None
    alone = tests["frangi", "xcav/dsc"]
    assert alone.test.p == alone.p_holm == alone.p_bh


def test_verdicts_by_hand(board):
    verdicts = {key: c.verdict for key, c in found(comparisons(board, "mae")).items()}
    assert verdicts["vasomim", "arcade_v/dsc"] == "better"
    assert verdicts["vasomim", "arcade_v/cldice"] == "not separable"
    assert verdicts["vasomim", "xcav/dsc"] == "identical"
    assert verdicts["frangi", "arcade_v/dsc"] == "worse"


def test_no_method_is_better_by_a_difference_that_rounds_to_zero(build, make_run):
    """The p-value stays; what it is about is less than anybody knows of a score."""
    base = [79.0, 79.5, 80.1]
    rows = {
        "mae": base,
        "hair": [79.004, 79.5041, 80.1042],  # + 0.0041, p = 0.0003
        "step": [79.006, 79.5061, 80.1062],  # + 0.0061, which prints as + 0.01
        "noise": [79.0 + 3e-12, 79.5 + 2e-12, 80.1 + 4e-12],
        "below": [78.996, 79.4959, 80.0958],
    }
    records = [
        make_run(name, "xcav", seed, dsc=score)
        for name, scores in rows.items()
        for seed, score in enumerate(scores)
    ]
    leaderboard = build(records, correction="none")
    found = {c.row.id: c for c in comparisons(leaderboard.boards[0], "mae", "none")}
    assert all(found[name].test.p < 0.05 for name in ("hair", "step", "noise", "below"))
    verdicts = {name: comparison.verdict for name, comparison in found.items()}
    assert verdicts == {
        "hair": "not separable",
        "step": "better",
        "noise": "not separable",
        "below": "not separable",
    }
    text = to_markdown(leaderboard)
    assert "| [0.00, 0.00] | " in text
    assert not re.search(r"[+-]0\.00 \|[^\n]*(better|worse)", text)
    # It is said where it is shown, and only there.
    assert text.count("A difference that rounds to 0.00 is called not separable") == 1
    rest = [record for record in records if record.method in ("mae", "step")]
    assert "rounds to 0.00" not in to_markdown(build(rest, correction="none"))


def test_the_correction_decides_the_verdict_only(build, make_run):
    """Ten methods a hair better than the reference: each alone is a finding, none is with Holm."""
    base = [79.0, 79.5, 80.1]
    shifts = ([0.2, 0.25, 0.31], [0.2, 0.27, 0.3])
    records = [make_run("mae", "xcav", seed, dsc=score) for seed, score in enumerate(base)]
    records += [
        make_run(f"m{k}", "xcav", seed, dsc=score + shifts[k % 2][seed] + k / 100)
        for k in range(10)
        for seed, score in enumerate(base)
    ]
    board = build(records).boards[0]
    by_name = {name: comparisons(board, "mae", name) for name in ("holm", "bh", "none")}
    assert {c.verdict for c in by_name["none"]} == {"better"}
    assert {c.verdict for c in by_name["bh"]} == {"better"}
    assert {c.verdict for c in by_name["holm"]} != {"better"}
    for name, tests in by_name.items():
        for c, other in zip(tests, by_name["holm"]):
            assert (c.test, c.p_holm, c.p_bh) == (other.test, other.p_holm, other.p_bh)
            assert (c.verdict == "better") == (c.p_used(name) < 0.05)


def test_lower_is_better_where_the_metric_says_so(build, make_run):
    records = [
        make_run(m, "d", seed, higher_is_better=False, error=base + [0.1, 0.2, 0.4][seed] * k)
        for m, base, k in (("mae", 10.0, 1), ("vasomim", 5.0, 2), ("simmim", 20.0, 3))
        for seed in range(3)
    ]
    board = build(records).boards[0]
    assert [row.id for row in board.rows] == ["vasomim", "mae", "simmim"]
    verdicts = {c.row.id: c.verdict for c in comparisons(board, "mae")}
    assert verdicts == {"vasomim": "better", "simmim": "worse"}


def test_missing_seeds_pair_what_is_common(build, records):
    kept = [r for r in records if (r.method, r.dataset, r.seed) != ("mae", "xcav", 2)]
    tests = found(comparisons(build(kept).boards[0], "mae"))
    assert tests["frangi", "xcav/dsc"].test.n == 4
    assert tests["frangi", "arcade_v/dsc"].test.n == 5


def test_the_overall_test_pairs_datasets_and_the_papers_the_metric_means(board):
    tests = {c.row.id: c for c in overall(board, "mae")}
    expected = stats.ttest_rel([(41.3 + 40.91) / 2, 58.46], [(79.4 + 80.9) / 2, 86.0])
    assert tests["frangi"].test.p == pytest.approx(expected.pvalue)
    assert (tests["frangi"].test.n, tests["frangi"].column) == (2, None)
    # No interval for a handful of datasets.
    assert (tests["frangi"].test.ci_low, tests["frangi"].test.ci_high) == (None, None)
    expected = stats.ttest_rel([41.3, 40.91, 58.46], [79.4, 80.9, 86.0])
    assert tests["frangi"].over_columns.p == pytest.approx(expected.pvalue)
    assert tests["frangi"].over_columns.n == 3


def test_every_row_can_be_the_reference(board):
    tests = by_reference(board, comparisons, "holm", references(board, large=False))
    assert set(tests) == {"mae", "vasomim", "frangi"}
    assert tests["mae"] == comparisons(board, "mae")
    ours = found(tests["vasomim"])["mae", "arcade_v/dsc"].test.difference
    assert ours == -found(tests["mae"])["vasomim", "arcade_v/dsc"].test.difference


def test_of_a_large_board_only_the_declared_row_is_a_reference(build, make_run, monkeypatch):
    """Three rows in two columns have twelve tests, over two datasets six.

    Nobody can see the overall tests against the other rows, so there are none either.
    """
    records = [
        make_run(method, dataset, seed, dsc=70.0 + seed * shift)
        for shift, method in enumerate(("mae", "simmim", "vasomim"), 1)
        for dataset in ("arcade_v", "xcav")
        for seed in range(3)
    ]
    leaderboard = build(records)
    (board,) = leaderboard.boards
    monkeypatch.setattr("leaderboard.comparisons.MOST_TESTS", 12)
    full = board_data(leaderboard)["boards"][0]
    assert set(full["comparisons"]) == set(full["reference_notes"]) == {"mae", "simmim", "vasomim"}
    monkeypatch.setattr("leaderboard.comparisons.MOST_TESTS", 11)
    assert references(board, is_large(board)) == ["mae"]
    data = board_data(leaderboard)["boards"][0]
    assert data["comparisons"] == {"mae": full["comparisons"]["mae"]}
    assert set(full["overall"]) == set(full["comparisons"])
    assert data["overall"] == {"mae": full["overall"]["mae"]}
    assert set(data["reference_notes"]) == {"mae"}
    assert len(data["notes"]) == len(full["notes"]) + 1
    assert "only the declared reference can be chosen" in data["notes"][-1]


def test_a_reference_without_results_has_no_tests(board):
    assert comparisons(board, "moco") == ()
    assert overall(board, "moco") == ()
