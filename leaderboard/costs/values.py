"""The costs of a method, each with what it was measured on, and which of them compare."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmark.method_costs import MethodCosts
from benchmark.results import RunRecord
from benchmark.text import visible

#: Metric → what it is, in the order of print; see `benchmark.method_costs.MethodCosts`.
DEFINITIONS = {
    "network_m": "parameters of the exported encoder, or of the network trained from scratch",
    "trained_m": "parameters the pre-training trains",
    "total_m": "parameters in memory while pre-training, frozen networks and teachers included",
    "network_gflops": "forward pass of the network on one image of 224×224",
    "step_gflops": "forward pass of the pre-training loss, per frame",
    "layer_gflops": "the same by the rules of the papers' tables",
    "device_hours": "wall time of the pre-training run on each of its processes (GPUs), summed",
    "images_per_s": "training step, measured",
    "step_time": "time of a training step divided by that of MAE, measured",
    "memory_mib": "weights, gradients, moments and activations of a training step, measured",
}

#: Measured by ``tools/bench.py pretrain``.
BENCHED = ("images_per_s", "step_time", "memory_mib")
#: What depends on the machine.
MEASURED = ("device_hours", *BENCHED)
#: For all other costs, less is better.
HIGHER_IS_BETTER = ("images_per_s",)

_PASSES = ("network", "step", "layer")


class PretrainingTime(NamedTuple):
    """How long a method was pre-trained.

    Attributes:
        device_hours: mean over the encoders of the sum over their processes.
        devices: names, ``"NVIDIA H200"``.
        encoders: number of encoders that the mean is over.
    """

    device_hours: float
    devices: str
    encoders: int


class CostRow(NamedTuple):
    """A method on the leaderboard whose costs are known."""

    method: str
    title: str
    costs: MethodCosts
    pretraining: PretrainingTime | None = None

    @property
    def known(self) -> bool:
        return self.costs != MethodCosts() or self.pretraining is not None


@dataclass(frozen=True, slots=True)
class ComparableCosts:
    """One cost of several methods, all counted or measured in the same way.

    Attributes:
        metric: a key of `DEFINITIONS`.
        values: method → value in the unit of `leaderboard.columns.METRICS`.
        condition: what it was measured on; empty where it was counted.
        elsewhere: methods that were measured on something else only.
    """

    metric: str
    values: Mapping[str, float]
    condition: str
    elsewhere: tuple[str, ...] = ()

    @property
    def definition(self) -> str:
        """What it is, and how it was obtained."""
        how = f"on {self.condition}" if self.condition else "counted from the configs"
        return f"{DEFINITIONS[self.metric]}; {how}"

    @property
    def higher_is_better(self) -> bool:
        return self.metric in HIGHER_IS_BETTER


def pretraining_times(records: Iterable[RunRecord]) -> dict[str, PretrainingTime]:
    """Method → time of its pre-training, where the cards of its encoders state it.

    The mean over its encoders, one for each seed where the pre-training was repeated. Encoders of
    different devices are not averaged: those on the devices of the most encoders count.
    """
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        encoder = record.encoder
        spent = _device_seconds(encoder.provenance) if encoder else {}
        if spent:
            devices = ", ".join(sorted(map(visible, spent)))
            hours = math.fsum(spent.values()) / 3600
            key = encoder.weights_sha256 or encoder.fingerprint
            found[record.method][devices][key] = hours
    times = {}
    for method, by_devices in found.items():
        devices, hours = min(by_devices.items(), key=lambda item: (-len(item[1]), item[0]))
        mean = math.fsum(hours.values()) / len(hours)
        times[method] = PretrainingTime(mean, devices, len(hours))
    return times


def _device_seconds(provenance: Mapping[str, Any] | None) -> dict[str, float]:
    """Device seconds of a card; empty if malformed, as they may be in third-party cards."""
    spent = (provenance or {}).get("device_seconds")
    if not isinstance(spent, dict):
        return {}
    seconds = list(spent.values())
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in seconds)
    return spent if numbers and all(0 < value < math.inf for value in seconds) else {}


def cost_values(row: CostRow) -> dict[str, float]:
    """Metric → value in the unit of `METRICS`, without what is not known."""
    values = {metric: next(iter(found.values())) for metric, found in _measurements(row).items()}
    return {metric: values[metric] for metric in DEFINITIONS if metric in values}


def _measurements(row: CostRow) -> dict[str, dict[str, float]]:
    """Metric → what it was measured on → value; the most comparable first."""
    costs = row.costs
    counted = {
        **{f"{name}_m": getattr(costs, name) for name in ("network", "trained", "total")},
        **{f"{name}_gflops": getattr(costs, f"{name}_flops") for name in _PASSES},
    }
    found = {
        name: {"": value / (1e6 if name.endswith("_m") else 1e9)}
        for name, value in counted.items()
        if value is not None
    }
    for speed in costs.measured:
        numbers = (speed.images_per_s, speed.relative_to_mae, speed.peak_memory_mb)
        for name, value in zip(BENCHED, numbers):
            found.setdefault(name, {}).setdefault(speed.conditions, value)
    if row.pretraining is not None:
        found["device_hours"] = {row.pretraining.devices: row.pretraining.device_hours}
    return found


def condition_of(row: CostRow, metric: str) -> str:
    """What a measured cost of a method was measured on; empty where it is not known."""
    return next(iter(_measurements(row).get(metric, {})), "")


def comparable_costs(rows: Sequence[CostRow]) -> list[ComparableCosts]:
    """Every cost that is known of any row, in the order of print.

    A measured one is that on the devices, and under the settings, on which the most rows have it.
    """
    known = {row.method: _measurements(row) for row in rows}
    found = []
    for metric in DEFINITIONS:
        of_rows = {m: costs[metric] for m, costs in known.items() if metric in costs}
        counts = Counter(condition for costs in of_rows.values() for condition in costs)
        if counts:
            chosen = min(counts, key=lambda condition: (-counts[condition], condition))
            values = {m: costs[chosen] for m, costs in of_rows.items() if chosen in costs}
            others = tuple(method for method in of_rows if method not in values)
            found.append(ComparableCosts(metric, values, chosen, others))
    return found
