"""The table of the costs of all methods of a leaderboard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from leaderboard.build import Leaderboard
from leaderboard.columns import METRICS
from leaderboard.costs import (
    BENCHED,
    DEFINITIONS,
    MEASURED,
    CostRow,
    condition_of,
    cost_values,
)

NOTE = (
    "Parameters and FLOPs are counted from the configs, speed and memory were measured by "
    "tools/bench.py where the table says, all at paper scale unless it says otherwise, whatever "
    "the scale of the runs. Pre-training times are those of the runs behind the scores. Costs of "
    "different devices do not compare; see docs/costs.md."
)


def bench_conditions(row: CostRow) -> str:
    """What speed and memory were measured on; empty where they were not."""
    return condition_of(row, BENCHED[0])


def pretrained_on(row: CostRow) -> str:
    """The devices of the pre-training, and of how many runs its time is the mean."""
    if row.pretraining is None:
        return ""
    runs = row.pretraining.encoders
    return row.pretraining.devices + (f" (mean of {runs} runs)" if runs > 1 else "")


def cost_metrics(rows: Iterable[CostRow]) -> list[str]:
    """The metrics that any of them has, in the order of print."""
    known = {name for row in rows for name in cost_values(row)}
    return [name for name in DEFINITIONS if name in known]


def cost_data(leaderboard: Leaderboard) -> dict[str, Any]:
    """The table for ``leaderboard.json``: columns, and per method its values."""
    return {
        "note": NOTE,
        "columns": [
            {"metric": name, "definition": DEFINITIONS[name], **METRICS[name]._asdict()}
            for name in cost_metrics(leaderboard.costs)
        ],
        "rows": [
            {
                "method": row.method,
                "title": row.title,
                "values": cost_values(row),
                "conditions": bench_conditions(row),
                "pretrained_on": pretrained_on(row),
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
            "source": condition_of(row, name) or None,
            "metric": name,
            "definition": DEFINITIONS[name],
            "unit": METRICS[name].unit,
            "mean": value,
        }
        for row in leaderboard.costs
        for name, value in cost_values(row).items()
    ]
