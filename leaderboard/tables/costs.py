"""What the rows of a leaderboard cost: counted parameters and FLOPs, measured speed and memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.method_costs import MethodCosts
from leaderboard.build import Leaderboard
from leaderboard.columns import METRICS

#: Metric → what it is, in the order of print; see `benchmark.method_costs.MethodCosts`.
DEFINITIONS = {
    "network_m": "parameters of the exported encoder, or of the network trained from scratch",
    "trained_m": "parameters the pre-training trains",
    "total_m": "parameters in memory while pre-training, frozen networks and teachers included",
    "network_gflops": "forward pass of the network on one image of 224×224",
    "step_gflops": "forward pass of the pre-training loss, per frame",
    "layer_gflops": "the same by the rules of the papers' tables",
    "images_per_s": "training step, measured",
    "step_time": "time of a training step divided by that of MAE, measured",
    "memory_mib": "weights, gradients, moments and activations of a training step, measured",
}
_PASSES = ("network", "step", "layer")
MEASURED = ("images_per_s", "step_time", "memory_mib")

NOTE = (
    "Costs are those at paper scale, whatever the scale of the runs. Parameters and FLOPs are "
    "counted, speed and memory were measured where the table says; see docs/costs.md."
)


def cost_values(costs: MethodCosts) -> dict[str, float]:
    """Metric → value in the unit of `METRICS`, without what is not known."""
    values: dict[str, float | None] = {
        **{f"{name}_m": getattr(costs, name) for name in ("network", "trained", "total")},
        **{f"{name}_gflops": getattr(costs, f"{name}_flops") for name in _PASSES},
    }
    scaled = {
        name: value / (1e6 if name.endswith("_m") else 1e9)
        for name, value in values.items()
        if value is not None
    }
    for speed in costs.measured[:1]:
        numbers = (speed.images_per_s, speed.relative_to_mae, speed.peak_memory_mb)
        scaled |= dict(zip(MEASURED, numbers))
    return scaled


def conditions(costs: MethodCosts) -> str:
    """What speed and memory were measured on; empty where they were not."""
    return next((speed.conditions for speed in costs.measured), "")


def cost_metrics(costs: Iterable[MethodCosts]) -> list[str]:
    """The metrics that any of them has, in the order of print."""
    known = {name for one in costs for name in cost_values(one)}
    return [name for name in DEFINITIONS if name in known]


def cost_data(leaderboard: Leaderboard) -> dict[str, Any]:
    """The table for ``leaderboard.json``: columns, and per method its values."""
    metrics = cost_metrics(row.costs for row in leaderboard.costs)
    return {
        "note": NOTE,
        "columns": [
            {"metric": name, "definition": DEFINITIONS[name], **METRICS[name]._asdict()}
            for name in metrics
        ],
        "rows": [
            {
                "method": row.method,
                "title": row.title,
                "values": cost_values(row.costs),
                "conditions": conditions(row.costs),
            }
            for row in leaderboard.costs
        ],
    }


def cost_lines(leaderboard: Leaderboard) -> list[Mapping[str, object]]:
    """The table in long format, under the columns of `leaderboard.tables.long_format`."""
    return [
        {
            "board": "costs",
            "row": row.method,
            "method": row.method,
            "title": row.title,
            "origin": "measured" if name in MEASURED else "counted",
            "source": conditions(row.costs) if name in MEASURED else None,
            "metric": name,
            "definition": DEFINITIONS[name],
            "unit": METRICS[name].unit,
            "mean": value,
        }
        for row in leaderboard.costs
        for name, value in cost_values(row.costs).items()
    ]
