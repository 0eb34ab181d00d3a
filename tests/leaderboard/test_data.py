import json
import math

import pytest
from scipy import stats

from leaderboard.build import published_leaderboard
from leaderboard.comparisons import comparisons
from leaderboard.data import board_data
from leaderboard.published import read_tables


@pytest.fixture
def data(build, records, make_detections):
    records += make_detections({"mae": 92.0, "vasomim": 95.0})
    return board_data(build(records, problems=["a.json: broken"]))


def walk(value):
    yield value
    for item in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from walk(item)


def test_it_is_strict_json_and_does_not_depend_on_the_order(build, records):
    texts = [
        json.dumps(board_data(build(given)), sort_keys=True, allow_nan=False)
        for given in (records, records[::-1])
    ]
    assert texts[0] == texts[1]
    numbers = [x for x in walk(json.loads(texts[0])) if isinstance(x, float)]
    assert len(numbers) > 50
    assert all(map(math.isfinite, numbers))


def test_the_top_level(data):
    assert set(data) == {
        *("schema", "title", "protocol", "reference", "correction", "boards", "combined"),
        *("costs", "curves", "runs", "gallery", "pictures", "problems", "notes"),
        *("newest", "methods", "data", "citation"),
    }
    assert (data["schema"], data["protocol"], data["reference"]) == (1, "journal", "mae")
    assert [board["id"] for board in data["boards"]] == ["segmentation", "detection"]
    assert data["problems"] == ["a.json: broken"]


def test_cells_hold_values_intervals_and_runs(data, mae_scores):
    board = data["boards"][0]
    row = next(row for row in board["rows"] if row["id"] == "mae")
    cell = row["cells"][0]
    low, high = stats.t.interval(0.95, 4, 79.4, stats.sem(mae_scores))
    assert (cell["ci_low"], cell["ci_high"]) == pytest.approx((low, high))
    assert cell["values"] == mae_scores
    assert (cell["seeds"], cell["n"], cell["place"], cell["rank"]) == ([0, 1, 2, 3, 4], 5, 2, 2)
    assert cell["runs"] == [f"journal/mae/arcade_v/seed{k}" for k in range(5)]
    assert set(cell["runs"]) < set(data["runs"])
    assert board["columns"][0]["id"] == "arcade_v/dsc"
    assert row["average_rank"]["mean"] == pytest.approx(4 / 3)


def test_runs_hold_their_provenance(data):
    run = data["runs"]["journal/vasomim/arcade_v/seed3"]
    assert (run["method"], run["seed"], run["device"]) == ("vasomim", 3, "cpu")
    assert run["metrics"]["dsc"]["value"] == 80.3
    assert run["split_hash"] == "split of arcade_v"


def test_tests_are_there_for_every_reference(data, build, records):
    board = build(records).boards[0]
    found = data["boards"][0]["comparisons"]
    assert set(found) == {"mae", "vasomim", "frangi"}
    for reference, tests in found.items():
        expected = comparisons(board, reference)
        assert [(t["row"], t["column"]) for t in tests] == [
            (c.row.id, c.column.id) for c in expected
        ]
        assert [t["p_holm"] for t in tests] == [c.p_holm for c in expected]
        assert [t["verdict"] for t in tests] == [c.verdict for c in expected]
    assert {t["per_image"] for t in found["mae"]} == {None}


def test_the_combined_test_is_beside_the_boards(data):
    combined = data["combined"]
    assert combined["columns"][-1] == "stenosis/map"
    (test,) = combined["overall"]["mae"]
    assert (test["row"], test["n"], test["over_columns"]["n"]) == ("vasomim", 3, 5)


def test_friedman_names_rows(build, records, make_run):
    records += [make_run("simmim", d, 0, dsc=50.0, **x) for d, x in
                (("arcade_v", {"cldice": 50.0}), ("xcav", {}))]  # fmt: skip
    board = board_data(build(records))["boards"][0]
    test = board["friedman"]
    assert (test["n"], test["k"]) == (2, 4)
    # DSC on ARCADE-V: VasoMIM, MAE, SimMIM, filter; XCAV: the first two tie.
    assert test["ranks"] == {"vasomim": 1.25, "mae": 1.75, "frangi": 3.5, "simmim": 3.5}
    assert {name for group in test["groups"] for name in group} <= set(test["ranks"])


def test_undefined_values_are_null(data):
    """Detection is one dataset: no block to repeat."""
    board = data["boards"][1]
    assert board["friedman"] is None
    assert board["rows"][0]["average_rank"]["low"] is None


def test_published_rows_have_a_source_and_no_seeds():
    data = board_data(published_leaderboard(read_tables()))
    assert {board["origin"] for board in data["boards"]} == {"published"}
    row = data["boards"][0]["rows"][0]
    assert (row["id"], row["method"]) == ("published:journal-I:VasoMIM", "vasomim")
    assert row["source"].endswith("table I")
    assert (row["cells"][0]["n"], row["cells"][0]["seeds"], row["cells"][0]["runs"]) == (5, [], [])
    assert data["boards"][0]["overall"][data["boards"][0]["reference_row"]]
    assert (data["runs"], data["gallery"]) == ({}, [])


def test_pictures_are_passed_on(build, records):
    picture = {"dataset": "xcav", "image": "1", "predictions": []}
    assert board_data(build(records), [picture])["gallery"] == [picture]
