"""Records of older schemas, as the writers of their time have left them, are read for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.errors import InputError
from benchmark.results import SCHEMA, find_problems, read_record, read_results, read_scores
from benchmark.results.migrations import MIGRATIONS, to_current

FIXTURES = Path(__file__).parent / "fixtures"
NEW_IN_2 = ("started", "processes", "precision", "skipped_steps", "command", "examples")


def test_there_is_a_way_from_every_schema_to_the_next() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA))
    kept = {json.loads(path.read_text())["schema"] for path in FIXTURES.rglob("*.json")}
    assert kept >= set(MIGRATIONS), "a fixture of every older schema"


@pytest.mark.parametrize(("era", "count"), [("schema1_first", 1), ("schema1_last", 2)])
def test_records_of_schema_1_are_read_without_a_complaint(era: str, count: int) -> None:
    records, problems = read_results(FIXTURES / era)
    assert (len(records), problems) == (count, [])
    assert find_problems(FIXTURES / era) == (count, [])


def test_what_schema_1_says_is_kept_and_what_it_does_not_know_is_null() -> None:
    (path,) = (FIXTURES / "schema1_last").rglob("seed0.json")
    record, raw = read_record(path), json.loads(path.read_text())
    assert record.schema == SCHEMA
    assert {name: getattr(record, name) for name in NEW_IN_2} == dict.fromkeys(NEW_IN_2)
    assert {name: getattr(record, name) for name in raw if name != "schema"} == {
        name: value for name, value in raw.items() if name != "schema"
    }
    assert record.leakage["similar"] == 3
    assert record.metrics["dsc_dataset"]["headline"] is False
    assert raw["schema"] == 1, "the file itself is left as it is"


def test_the_first_records_knew_nothing_of_leakage() -> None:
    (path,) = (FIXTURES / "schema1_first").rglob("seed0.json")
    assert "leakage" not in json.loads(path.read_text())
    record = read_record(path)
    assert record.leakage is None
    assert record.metrics["dsc"] == {
        "value": 81.91152263004115,
        "definition": "dsc/per-image-mean/empty=1/native-size/v1",
        "higher_is_better": True,
    }
    assert read_scores(path)["cldice"] == [80.0, 70.1, 88.8]
    assert "patient" not in read_scores(path)


def test_a_schema_of_the_future_is_refused_with_what_helps() -> None:
    with pytest.raises(InputError, match=r"x\.json: key 'schema' is 3, .*update the benchmark"):
        to_current({"schema": 3}, "x.json")
    # What is no record at all is left to the check of every key.
    assert to_current([1], "x.json") == [1]
    assert to_current({"schema": "1"}, "x.json") == {"schema": "1"}
