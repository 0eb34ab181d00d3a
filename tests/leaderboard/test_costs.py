"""Costs that come from records and tables: what is averaged, what compares, what is not known."""

import math

import pytest

from benchmark.method_costs import MeasuredSpeed, MethodCosts
from leaderboard.costs import (
    CostRow,
    PretrainingTime,
    comparable_costs,
    condition_of,
    cost_values,
    pretraining_times,
)


@pytest.fixture
def with_encoder(make_run):
    """Records of a method, one for each seed, with an encoder card of this provenance."""

    def records(method, *provenances, dataset="xcav"):
        found = []
        for seed, provenance in enumerate(provenances):
            weights = f"{method} {seed}"
            encoder = {"fingerprint": "f", "weights_sha256": weights, "provenance": provenance}
            found.append(make_run(method, dataset, seed, dsc=80.0, encoder=encoder))
        return found

    return records


def speed(rate: float, device: str = "NVIDIA H200") -> MeasuredSpeed:
    return MeasuredSpeed(rate, 1.0, "", 100.0, "paper", 64, device, 1, "bf16")


def test_hours_are_those_of_all_devices_of_a_run(with_encoder):
    """Two hours on one kind and half an hour on another, which are device-hours already."""
    spent = {"NVIDIA H200": 7200.0, "NVIDIA A100": 1800}
    times = pretraining_times(with_encoder("mae", {"device_seconds": spent}))
    assert times == {"mae": PretrainingTime(2.5, "NVIDIA A100, NVIDIA H200", 1)}


def test_an_encoder_counts_once_and_several_are_averaged(with_encoder):
    """Three pre-trainings of 1, 2 and 6 hours, each fine-tuned on two datasets."""
    cards = [{"device_seconds": {"NVIDIA H200": hours * 3600.0}} for hours in (1, 2, 6)]
    records = with_encoder("mae", *cards) + with_encoder("mae", *cards, dataset="dca1")
    assert pretraining_times(records) == {"mae": PretrainingTime(3.0, "NVIDIA H200", 3)}
    assert pretraining_times(records[::-1]) == pretraining_times(records)


def test_hours_on_different_devices_are_not_averaged(with_encoder):
    """Those on the device of the most encoders count; of equally many the first by name."""
    seconds = [("H200", 3600.0), ("A100", 9 * 3600.0), ("H200", 3 * 3600.0)]
    cards = [{"device_seconds": {device: spent}} for device, spent in seconds]
    assert pretraining_times(with_encoder("mae", *cards))["mae"] == (2.0, "H200", 2)
    assert pretraining_times(with_encoder("mae", *cards[:2]))["mae"] == (9.0, "A100", 1)


@pytest.mark.parametrize(
    "provenance",
    [
        None,
        {},
        {"device_seconds": None},
        {"device_seconds": {}},
        {"device_seconds": 3600.0},
        {"device_seconds": [3600.0]},
        {"device_seconds": {"H200": "3600"}},
        {"device_seconds": {"H200": True}},
        {"device_seconds": {"H200": -1.0}},
        {"device_seconds": {"H200": 0}},
    ],
)
def test_what_a_card_does_not_say_is_not_known(with_encoder, make_run, provenance):
    """Cards of earlier versions and of others; and no encoder at all."""
    records = [*with_encoder("mae", provenance), make_run("unet", "xcav", 0, dsc=80.0)]
    assert pretraining_times(records) == {}


def test_counts_are_in_millions_and_gigaflops():
    row = CostRow("mae", "MAE", MethodCosts(network=85_798_656, step_flops=19_390_000_000))
    assert cost_values(row) == {"network_m": 85.798656, "step_gflops": 19.39}
    assert condition_of(row, "network_m") == condition_of(row, "images_per_s") == ""


def test_a_measured_cost_compares_on_one_device_only():
    """That of the most rows; a row that has it there, too, is shown with that number."""
    rows = [
        CostRow("a", "A", MethodCosts(network=1, measured=(speed(10.0), speed(1.0, "CPU")))),
        CostRow("b", "B", MethodCosts(network=2, measured=(speed(2.0, "CPU"),))),
        CostRow("c", "C", MethodCosts(measured=(speed(30.0),))),
        CostRow(
            "d", "D", MethodCosts(measured=(speed(4.0, "CPU"),)), PretrainingTime(5, "A100", 1)
        ),
        CostRow("e", "E", MethodCosts(), PretrainingTime(7.0, "H200", 1)),
        CostRow("f", "F", MethodCosts(), PretrainingTime(8.0, "H200", 1)),
    ]
    found = {one.metric: one for one in comparable_costs(rows)}
    assert list(found) == ["network_m", "device_hours", "images_per_s", "step_time", "memory_mib"]
    assert found["images_per_s"].values == {"a": 1.0, "b": 2.0, "d": 4.0}
    assert found["images_per_s"].elsewhere == ("c",)
    assert "on CPU (1 thread)" in found["images_per_s"].definition
    assert found["images_per_s"].higher_is_better
    assert found["device_hours"].values == {"e": 7.0, "f": 8.0}
    assert (found["device_hours"].condition, found["device_hours"].elsewhere) == ("H200", ("d",))
    assert found["network_m"].definition.endswith("counted from the configs")
    assert not math.isnan(found["network_m"].values["a"])


def test_nothing_known_is_nothing():
    assert comparable_costs([]) == []
    assert not CostRow("a", "A", MethodCosts()).known
