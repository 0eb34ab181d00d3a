"""Transfer: training sets against test sets, and what is lost by not training on them."""

import pytest


def board_of(leaderboard):
    return next(board for board in leaderboard.boards if board.id == "transfer")


def table(detail):
    """(method, texts …) → column → text."""
    return {
        (row.row, *row.texts[1:]): dict(zip(detail.columns, (cell.text for cell in row.cells)))
        for row in detail.rows
    }


@pytest.fixture
def records(make_run):
    """DCA1 ↔ XCAV of MAE, with both metrics and the in-domain scores."""
    runs = {"dca1": 80.0, "xcav": 86.0, "dca1-to-xcav": 70.0, "xcav-to-dca1": 75.0}
    return [
        make_run(
            "mae",
            dataset,
            seed,
            dsc=dsc + seed,
            cldice=dsc + 1,
            split_hash=f"split of {dataset.split('-')[-1].split('.')[0]}",
        )
        for dataset, dsc in runs.items()
        for seed in (0, 1)
    ]


def test_columns_are_pairs(build, records):
    board = board_of(build(records))
    assert [column.title for column in board.columns] == [
        *("XCAV → DCA1 DSC", "XCAV → DCA1 clDice", "DCA1 → XCAV DSC", "DCA1 → XCAV clDice")
    ]


def test_training_sets_by_test_sets(build, records):
    found = table(board_of(build(records)).details[0])
    # In-domain on the diagonal; elsewhere the difference to it, on the same test split.
    assert {key[1]: (row["DSC", "XCAV"], row["DSC", "DCA1"]) for key, row in found.items()} == {
        "XCAV": ("86.50 ± 0.71", "75.50 ± 0.71 (-5.00)"),
        "DCA1": ("70.50 ± 0.71 (-16.00)", "80.50 ± 0.71"),
    }
    assert found["mae", "DCA1"]["clDice", "XCAV"] == "71.00 ± 0.00 (-16.00)"


def test_mean_drops_over_the_pairs(build, records):
    detail = board_of(build(records)).details[1]
    (row,) = detail.rows
    texts = [cell.text for cell in row.cells]
    assert texts == ["2", "73.00", "83.50", "10.50", "2", "73.50", "84.00", "10.50"]
    assert row.cells[3].number.summary.mean == pytest.approx(10.5)


def test_a_drop_needs_the_same_images_and_all_labels(build, records, make_run):
    """No in-domain score of another split, of other images, or beside few labels and LoRA."""

    def mae(dataset, split="split of xcav"):
        return make_run("mae", dataset, 0, dsc=60.0, split_hash=split)

    records += [mae("dca1-to-xcav.val"), mae("dca1-5images-to-xcav"), mae("dca1-lora-to-xcav")]
    records += [mae("arcade_v-to-xcav", split="another split of xcav")]
    found = table(board_of(build(records)).details[0])
    assert found["mae", "DCA1"]["DSC", "XCAV, val"] == "60.00"
    assert found["mae", "DCA1, 5 images"]["DSC", "XCAV"] == "60.00"
    assert found["mae", "DCA1, LoRA"]["DSC", "XCAV"] == "60.00"
    assert found["mae", "ARCADE-V"]["DSC", "XCAV"] == "60.00"
    # ARCADE-V itself was not fine-tuned on: its own column exists and is empty.
    assert found["mae", "ARCADE-V"]["DSC", "ARCADE-V"] == "—"


def test_without_in_domain_scores_there_are_no_drops(build, records):
    (detail,) = board_of(build([r for r in records if "-to-" in r.dataset])).details
    assert table(detail)["mae", "DCA1"]["DSC", "XCAV"] == "70.50 ± 0.71"
