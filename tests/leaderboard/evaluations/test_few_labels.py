"""Few labels: shares of the score with all labels, and when TransUNet is reached."""

import numpy as np
import pytest
from scipy import stats

from leaderboard.curves import curves
from leaderboard.evaluations import few_labels
from leaderboard.statistics import welch_p

DRAWS = {
    1: [50.0, 54.0, 46.0],
    5: [66.0, 70.0, 68.0],
    10: [73.0, 76.0, 74.0],
}
ALL = [80.0, 80.5, 79.5]
SCRATCH = [72.0, 73.0, 71.0]


@pytest.fixture(scope="module")
def few_board(build, make_run):
    """MAE with one to ten images and with all, VasoMIM with one, TransUNet with all labels."""

    def run(method, dataset, values):
        return [make_run(method, dataset, seed, dsc=value) for seed, value in enumerate(values)]

    records = [*run("mae", "dca1", ALL), *run("transunet", "dca1", SCRATCH)]
    for count, values in DRAWS.items():
        records += run("mae", f"dca1-{count}images", values)
    records += run("mae", "dca1-25pct", [78.0, 78.0, 78.0])
    records += run("vasomim", "dca1-1images", [60.0, 61.0, 62.0])
    boards = build(records).boards
    return next(board for board in boards if board.id == "few-labels-dca1")


def cells_of(board, row):
    (detail,) = board.details
    titles = [title for _, title in detail.columns]
    return dict(zip(titles, next(one.cells for one in detail.rows if one.row == row)))


def test_the_table_holds_few_labels_only(few_board):
    assert [column.dataset for column in few_board.columns] == [
        *("dca1-1images", "dca1-5images", "dca1-10images")
    ]
    assert {row.id for row in few_board.rows} == {"mae", "vasomim"}


def test_shares_of_the_own_score_with_all_labels(few_board):
    cells = cells_of(few_board, "mae")
    full = np.mean(ALL)
    for count, values in DRAWS.items():
        cell = cells[f"{count} image{'s' * (count > 1)}"]
        share = np.array(values) / full * 100
        assert cell.number.summary.mean == pytest.approx(share.mean())
        assert cell.number.summary.std == pytest.approx(share.std(ddof=1))
        assert cell.text == f"{share.mean():.1f} ± {share.std(ddof=1):.1f}"
    assert cells["25 %"].number.summary.mean == pytest.approx(7800 / full)
    assert cells["all labels"].text == "80.00 ± 0.50"
    other = cells_of(few_board, "vasomim")
    assert (other["1 image"].text, other["all labels"].text) == ("—", "—")


def test_the_fewest_labels_that_reach_a_segmentor_from_scratch(few_board):
    cell = cells_of(few_board, "mae")["reaches TransUNet"]
    p = stats.ttest_ind(DRAWS[10], SCRATCH, equal_var=False).pvalue
    assert cell.text == f"10 images (+2.33, p = {p:#.2g})"
    assert (cell.number.dataset, cell.number.summary.mean) == ("dca1-10images", 10.0)
    missed = cells_of(few_board, "vasomim")["reaches TransUNet"]
    assert missed.text.startswith("not with 1 image (-11.00, p = ")
    assert missed.number is None


def test_transunet_reaches_itself_with_all_labels(build, make_run):
    records = [make_run("transunet", "dca1", s, dsc=70.0 + s) for s in range(3)]
    records += [make_run("transunet", "dca1-2images", s, dsc=50.0 + s) for s in range(3)]
    board = build(records).boards[1]
    assert cells_of(board, "transunet")["reaches TransUNet"].text == "all labels"


def test_without_transunet_the_column_is_missing_and_a_note_says_why(build, make_run):
    records = [make_run("mae", name, 0, dsc=70.0) for name in ("dca1", "dca1-2images")]
    (detail,) = build(records).boards[1].details
    assert [title for _, title in detail.columns] == ["all labels", "2 images"]
    assert "TransUNet has no score with all labels here" in " ".join(detail.notes)
    alone = build([make_run("mae", "dca1-2images", 0, dsc=70.0)])
    assert alone.boards[0].details == ()


def test_frozen_features_are_compared_with_frozen_features(build, make_evaluations):
    boards = {board.id: board for board in build(make_evaluations()).boards}
    board = boards["few-labels-dca1-linear"]
    cells = cells_of(board, "mae")
    full = 60.0 + 2 + 0.1  # level, second dataset, mean over three seeds
    assert cells["5 images"].number.summary.mean == pytest.approx((full - 15) / full * 100)
    assert cells["10 %"].number.summary.mean == pytest.approx((full - 12) / full * 100)
    assert cells["reaches TransUNet"].text.startswith("not with all labels (-13.00, p = ")


def test_the_curve_ends_with_all_labels(few_board):
    (curve,) = curves([few_board])
    assert (curve["id"], curve["log_x"]) == ("few-labels-dca1:dsc", True)
    lines = {line["row"]: line["points"] for line in curve["lines"]}
    assert [point["x"] for point in lines["mae"]] == [1, 5, 10, 40]
    assert [point["n"] for point in lines["mae"]] == [3] * 4
    assert lines["mae"][1]["std"] == pytest.approx(np.std(DRAWS[5], ddof=1))
    assert lines["mae"][-1]["mean"] == 80.0
    assert len(lines["vasomim"]) == 1
    assert curve["ticks"] == [{"x": 40, "label": "all"}]
    assert curve["levels"] == [{"title": "TransUNet, all labels", "mean": 72.0}]


def test_the_mark_is_a_method_of_the_benchmark():
    from benchmark.method_cards import read_method_cards

    (card,) = (c for c in read_method_cards() if c.method == few_labels.SCRATCH)
    assert card.title == few_labels.SCRATCH_TITLE


def test_welch_equals_scipy():
    rng = np.random.default_rng(0)
    for n, m in ((2, 5), (5, 5), (3, 9)):
        a, b = rng.normal(0, 1, n), rng.normal(1, 3, m)
        expected = stats.ttest_ind(a, b, equal_var=False).pvalue
        assert welch_p(a.tolist(), b.tolist()) == pytest.approx(expected, rel=1e-9)
    assert welch_p([1.0], [1.0, 2.0]) is None
    assert welch_p([1.0, 1.0], [2.0, 2.0]) is None
    # No spread in one sample: the standard error is √(0.125 / 2), with one degree of freedom.
    assert welch_p([1.0, 1.0], [2.0, 2.5]) == pytest.approx(2 * stats.t.sf(1.25 / 0.25, 1))
