"""What the id of a column says, and which ids cannot be."""

from __future__ import annotations

import pytest

from benchmark.errors import InputError
from benchmark.results import (
    DatasetId,
    labelled_id,
    parse_dataset_id,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arcade_v", DatasetId("arcade_v", "fine-tuning", 1.0)),
        ("arcade_v-10pct", DatasetId("arcade_v", "fine-tuning", 0.1)),
        ("xcav-2.5pct", DatasetId("xcav", "fine-tuning", 0.025)),
        ("xcav-12.3pct", DatasetId("xcav", "fine-tuning", 0.123)),
        ("xcav-patches", DatasetId("xcav", "patches", 1.0)),
        ("xcav-patches-test", DatasetId("xcav", "patches", 1.0, "test")),
        ("-10pct", DatasetId("-10pct", "fine-tuning", 1.0)),
        ("dca1-5images", DatasetId("dca1", label_count=5)),
        ("dca1-linear", DatasetId("dca1", "linear")),
        ("dca1-5images-knn", DatasetId("dca1", "knn", label_count=5)),
        ("dca1-10pct-lora", DatasetId("dca1", "lora", 0.1)),
        ("dca1-corruptions", DatasetId("dca1", "corruptions")),
        ("dca1-to-xcav", DatasetId("dca1", "transfer", split="test", tested="xcav")),
        ("dca1-to-xcav.val", DatasetId("dca1", "transfer", split="val", tested="xcav")),
        ("dca1-10pct-to-x", DatasetId("dca1", "transfer", 0.1, "test", None, "x")),
        ("linear", DatasetId("linear")),
        ("a-to-", DatasetId("a-to-")),
    ],
)
def test_an_id_is_taken_apart_and_put_together(text, expected):
    assert parse_dataset_id(text) == expected
    assert expected.text == text


@pytest.mark.parametrize("share", [1, 7, 10, 12.3, 29, 33.3, 57, 58, 99])
def test_a_share_of_a_command_line_and_that_of_an_id_are_the_same_number(share):
    """Or the config of the cell would have another hash than that of the record."""
    fraction = float(f"{share / 100:.4g}")  # as it is typed
    name = labelled_id("x", fraction)
    assert name == f"x-{share}pct"
    assert parse_dataset_id(name).label_fraction == fraction


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arcade_v-100pct", "with all its labels the dataset is arcade_v"),
        ("arcade_v-0pct", "not a share of labels"),
        ("arcade_v-120pct", "between 0 and 100 % as in arcade_v-10pct"),
        ("arcade_v-010pct", "not a share of labels"),
        ("arcade_v-10.0pct", "not a share of labels"),
        ("xcav-patches-train", "xcav-patches-train: write xcav-patches"),
        ("xcav-05images", "not a number of labelled images; write it as in xcav-5images"),
        ("xcav-0images", "not a number of labelled images"),
        ("xcav-0pct-linear", "not a share of labels"),
        ("dca1-to-xcav.test", "dca1-to-xcav.test: write dca1-to-xcav"),
    ],
)
def test_what_no_record_is_named_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_dataset_id(text)


def test_ids_of_fewer_labels():
    assert labelled_id("x") == "x"
    assert labelled_id("x", count=5) == "x-5images"
    assert labelled_id("x", 0.1, kind="linear") == "x-10pct-linear"
    assert labelled_id("x", count=1, kind="lora") == "x-1images-lora"
    with pytest.raises(InputError, match=r"label_count=5 with label_fraction=0.5: set one of them"):
        labelled_id("x", 0.5, 5)


@pytest.mark.parametrize("fraction", [0.123456789, 1e-9, 1 - 1e-9])
def test_a_share_that_no_id_can_say_is_refused(fraction):
    """Or its scores would stand in the column of another share, or in that of all the labels."""
    with pytest.raises(InputError, match="with six digits; round it"):
        labelled_id("x", fraction)
