"""Corruptions one by one."""

import pytest

from leaderboard.curves import curves
from leaderboard.evaluations.corruptions import corruption_title


@pytest.fixture(scope="module")
def board(build, make_evaluations):
    boards = build(make_evaluations()).boards
    return next(board for board in boards if board.id == "corruptions")


def test_the_metrics_of_single_corruptions_are_no_columns(board):
    metrics = {column.metric for column in board.columns}
    assert metrics == {"relative_dsc", "dsc", "ece", "brier"}


def test_a_table_of_the_corruptions_per_dataset(board):
    assert [d.title for d in board.details] == [
        "DSC by corruption, XCAV",
        "DSC by corruption, DCA1",
    ]
    detail = board.details[1]
    assert [title for _, title in detail.columns] == [
        *("Uncorrupted", "Quantum noise", "JPEG", "ECE, uncorrupted")
    ]
    cells = next(row.cells for row in detail.rows if row.row == "mae")
    assert [cell.text for cell in cells] == [
        *("77.10 ± 0.10", "74.10 ± 0.10", "74.10 ± 0.10", "2.50 ± 0.00")
    ]
    assert [cell.number.metric for cell in cells] == [
        *("dsc_clean", "dsc_quantum_noise", "dsc_jpeg", "ece_clean")
    ]


def test_a_curve_of_every_corruption_starts_without_it(board):
    drawn = {curve["id"]: curve for curve in curves([board])}
    assert set(drawn) == {
        f"corruptions:{dataset}-corruptions/{name}"
        for dataset in ("xcav", "dca1")
        for name in ("jpeg", "quantum_noise")
    }
    curve = drawn["corruptions:dca1-corruptions/jpeg"]
    assert curve["title"] == "DCA1, JPEG, DSC"
    points = {line["row"]: line["points"] for line in curve["lines"]}["mae"]
    assert [point["x"] for point in points] == [0, 1, 2, 3, 4, 5]
    assert [point["mean"] for point in points] == pytest.approx([77.1 - s for s in range(6)])


def test_records_without_severities_have_no_details(build, make_run):
    record = make_run("mae", "dca1-corruptions", 0, relative_dsc=90.0, dsc=70.0)
    (board,) = build([record]).boards
    assert (board.details, board.curves) == ((), ())


def test_titles_of_corruptions():
    assert [corruption_title(name) for name in ("jpeg", "motion_blur", "gamma")] == [
        *("JPEG", "Motion blur", "Gamma")
    ]
