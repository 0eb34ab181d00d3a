"""What marks a score, and which scores are not tested against each other."""

from __future__ import annotations

import pytest

from benchmark.errors import InputError
from leaderboard.comparable import difference_words, setting_differences, without_leakage
from leaderboard.comparisons import comparisons, overall
from leaderboard.data import board_data
from leaderboard.tables.grids import sections
from leaderboard.tables.latex import to_latex
from leaderboard.tables.long_format import to_csv
from leaderboard.tables.markdown import to_markdown
from leaderboard.tables.notes import fixed_notes

SETTINGS = {"epochs": 1, "base_lr": 1e-3, "score_at": "native", "train_pipeline": [{"size": 224}]}


@pytest.fixture
def runs(make_run):
    """method → changes of its record → records of three seeds on two datasets."""

    def make(method, dsc, settings=None, datasets=("arcade_v", "xcav"), **changes):
        config = {**SETTINGS, "model": {"name": method}, **(settings or {})}
        return [
            make_run(method, dataset, seed, dsc=dsc + seed / 10, config=config, **changes)
            for dataset in datasets
            for seed in range(3)
        ]

    return make


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"epochs": 2}, {"epochs": 1}, {"epochs": (2, 1)}),
        # The network, the seed, where data are and how often is logged say nothing.
        ({"seed": 1, "log_interval": 5}, {"seed": 2, "log_interval": 9}, {}),
        ({"model": 1, "data": {"folder": "a"}}, {"model": 2, "data": {"folder": "b"}}, {}),
        (
            {"optimizer": {"lr": 1, "eps": 2}},
            {"optimizer": {"lr": 1}},
            {"optimizer.eps": (2, None)},
        ),
        # What a method brings itself, and the training of a filter, which has none.
        ({"base_lr": 1, "method_settings": ["base_lr"]}, {"base_lr": 2}, {}),
        ({"epochs": 0, "base_lr": 1, "score_at": "n"}, {"epochs": 9, "score_at": "n"}, {}),
        ({"epochs": 0, "score_at": "a"}, {"epochs": 9, "score_at": "b"}, {"score_at": ("a", "b")}),
    ],
)
def test_settings_that_are_not_the_methods_are_compared(ours, theirs, expected):
    assert setting_differences(ours, theirs) == expected


def test_differences_in_words():
    differences = setting_differences(
        {"a": 1, "b": [1], "c": 0, "d": 0, "e": 0}, {"a": 2, "b": [2], "c": 1, "d": 1, "e": 1}
    )
    assert difference_words(differences) == "a 1, not 2; b; c 0, not 1; d 0, not 1; and 1 more"


def test_two_epochs_are_not_tested_against_one(build, runs):
    """Before, that read: better, p = 0.0008."""
    records = runs("mae", 60.0) + runs("vasomim", 70.0) + runs("simmim", 75.0, {"epochs": 2})
    leaderboard = build(records)
    board = leaderboard.boards[0]
    found = {(c.row.id, c.column.dataset): c for c in comparisons(board, "mae")}
    assert found["simmim", "xcav"].verdict == "other settings"
    assert found["simmim", "xcav"].test.p is None
    assert found["simmim", "xcav"].test.difference == pytest.approx(15.0)
    assert found["vasomim", "xcav"].verdict != "other settings"
    # Two tests per dataset, but only those that can be tested count in the correction.
    assert found["vasomim", "xcav"].p_holm == found["vasomim", "xcav"].test.p
    assert {c.row.id: c.verdict for c in overall(board, "mae")}["simmim"] == "other settings"
    text = to_markdown(leaderboard)
    assert (
        "Not tested against MAE, as settings differ that are not the method's: SimMIM on ARCADE-V "
        "(epochs 2, not 1); SimMIM on XCAV (epochs 2, not 1)."
    ) in text
    notes = board_data(leaderboard)["boards"][0]["reference_notes"]
    assert notes.keys() == {"mae", "vasomim", "simmim"}
    assert (
        "Not tested against SimMIM, as settings differ that are not the method's: VasoMIM on "
        "ARCADE-V (epochs 1, not 2); MAE on ARCADE-V (epochs 1, not 2); VasoMIM on XCAV (epochs "
        "1, not 2); MAE on XCAV (epochs 1, not 2)."
    ) in notes["simmim"]
    (warning,) = (n for n in board_data(leaderboard)["boards"][0]["notes"] if "settings" in n)
    assert warning == (
        "Rows differ in settings that are not the methods' on ARCADE-V, XCAV: bold, underline, "
        "ranks and Friedman's test order them nevertheless."
    )


def test_equal_settings_need_no_warning(build, runs):
    board = build(runs("mae", 60.0) + runs("vasomim", 70.0)).boards[0]
    assert not any("settings" in note for note in fixed_notes(board))


def test_known_leakage_and_skipped_steps_are_marked_in_every_format(build, runs):
    leak = {"report_hash": "h", "exact": 3, "similar": 12, "groups": 1}
    none = {"report_hash": "h", "exact": 0, "similar": 0, "groups": 0}
    records = runs("mae", 60.0, leakage=none)
    records += runs("vasomim", 70.0, datasets=("xcav",), leakage=leak)
    records += runs("vasomim", 70.0, datasets=("arcade_v",), skipped_steps=2)
    leaderboard = build(records)
    row = next(row for row in leaderboard.boards[0].rows if row.id == "vasomim")
    assert [cell.conditions.marks for cell in row.cells] == ["§", "‡"]
    text = to_markdown(leaderboard)
    assert "**70.10 ± 0.10** [1]§ | **70.10 ± 0.10** [1]‡ |" in text
    assert "VasoMIM on XCAV (3 identical, 12 near-duplicate, 1 shared patients)." in text
    assert (
        "§ Training steps skipped, as their loss was not finite: VasoMIM on ARCADE-V (6)." in text
    )
    assert r"\textbf{70.10 $\pm$ 0.10} & [1]$^\ddagger$" in to_latex(leaderboard)
    header, *lines = (line.split(",") for line in to_csv(leaderboard).splitlines())
    table = {(e["row"], e["dataset"]): e for e in (dict(zip(header, line)) for line in lines)}
    names = ("leakage_exact", "leakage_similar", "leakage_patients", "skipped_steps")
    assert [table["vasomim", "xcav"][name] for name in names] == ["3", "12", "1", "0"]
    assert [table["vasomim", "arcade_v"][name] for name in names] == ["0", "0", "0", "6"]
    cells = {r["id"]: r["cells"] for r in board_data(leaderboard)["boards"][0]["rows"]}
    assert cells["vasomim"][1]["leakage"] == "3 identical, 12 near-duplicate, 1 shared patients"
    assert (cells["vasomim"][0]["skipped_steps"], cells["mae"][0]["leakage"]) == (6, "")


def test_tests_of_marked_scores_are_marked(build, runs):
    """Of either row, in its column; the overall test is about all of them."""
    leak = {"report_hash": "h", "exact": 3, "similar": 0, "groups": 0}
    records = runs("vasomim", 70.0, datasets=("xcav",), leakage=leak)
    records += runs("vasomim", 70.0, datasets=("arcade_v",)) + runs("simmim", 65.0)
    records += runs("mae", 60.0, datasets=("xcav",))
    records += runs("mae", 60.0, datasets=("arcade_v",), skipped_steps=2)
    signs = {}
    for section in sections(build(records)):
        for grid in section.grids:
            if "Verdict" in grid.header:
                place = grid.header.index("Verdict")
                for row in grid.rows:
                    key = tuple(entry.text for entry in row[: min(grid.n_text, 2)])
                    signs[key] = row[place].suffix
    assert signs == {
        ("VasoMIM", "ARCADE-V"): "§",
        ("VasoMIM", "XCAV"): "‡",
        ("SimMIM", "ARCADE-V"): "§",
        ("SimMIM", "XCAV"): "",
        ("VasoMIM",): "‡§",
        ("SimMIM",): "§",
    }


def test_scores_with_known_leakage_can_be_skipped(runs):
    leak = {"report_hash": "h", "exact": 1, "similar": 0, "groups": 0}
    leaked = runs("vasomim", 70.0, datasets=("xcav",), leakage=leak)
    kept, lines = without_leakage([*runs("mae", 60.0), *leaked])
    assert {record.method for record in kept} == {"mae"}
    assert lines[0] == "journal/vasomim/xcav/seed0.json: known leakage (1 identical)"
    assert len(lines) == 3
    with pytest.raises(InputError, match="all 3 results have known leakage"):
        without_leakage(leaked)
