"""What the rows of a leaderboard cost, as columns of the boards and against their scores.

Parameters and FLOPs are counted from the configs, speed and memory come from the tables of
``tools/bench.py pretrain``, and the time of the pre-training from the cards of the encoders that
the records name. What is not known has no number.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from benchmark.method_costs import MethodCosts
from benchmark.results import RunRecord
from benchmark.text import visible
from leaderboard.board import Board, Cell, Row
from leaderboard.columns import METRICS, Column
from leaderboard.statistics import Summary

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

#: The dataset id of columns of costs.
COST = "cost"

#: Costs beside the scores; the table of costs has all of them.
_SHOWN = ("network_m", "step_gflops", "device_hours", "images_per_s")

#: Costs that published tables state beside scores.
_PUBLISHED = ("params_m", "gflops", "seconds_per_epoch", "pretraining_hours", "pretraining_images")
#: The cost to start with, the first of these that a board has.
_FIRST = ("device_hours", "step_gflops", "network_gflops", "network_m", *_PUBLISHED)


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


def with_cost_columns(board: Board, costs: Sequence[CostRow]) -> Board:
    """The board with columns of the costs of its rows; published rows have none.

    A column only holds numbers that compare; the notes say what they were measured on, and name the
    rows that were measured on something else.
    """
    on_board = {row.method for row in board.rows if not row.context}
    known = [row for row in costs if row.method in on_board]
    shown = [one for one in comparable_costs(known) if one.metric in _SHOWN]
    if not shown:
        return board
    columns = [Column(COST, c.metric, c.definition, c.higher_is_better) for c in shown]
    rows = (
        replace(row, cells=(*row.cells, *(_cell(one, row) for one in shown))) for row in board.rows
    )
    titles = {row.method: row.title for row in known}
    return replace(
        board,
        columns=(*board.columns, *columns),
        rows=tuple(rows),
        pairs=(*board.pairs, *({} for _ in shown)),
        notes=(*board.notes, *filter(None, (_condition(one, titles) for one in shown))),
    )


def _cell(costs: ComparableCosts, row: Row) -> Cell | None:
    if row.context or row.method not in costs.values:
        return None
    summary = Summary(costs.values[row.method], None, 0)
    return Cell(summary, values={}, interval=None, place=0, rank=None, tier=None)


def _condition(costs: ComparableCosts, titles: Mapping[str, str]) -> str:
    """What a measured cost was measured on, and whose is not shown; empty where it was counted."""
    if not costs.condition:
        return ""
    names = ", ".join(titles[method] for method in costs.elsewhere)
    more = f"; not shown, as measured on something else: {names}" if names else ""
    quantity = METRICS[costs.metric]
    return f"{quantity.label} ({quantity.unit}) was measured on {costs.condition}{more}."


@dataclass(frozen=True, slots=True)
class CostAxis:
    """A cost that the rows of a board can be drawn against.

    Attributes:
        id: the metric, or the id of the column of the board that it is.
        title, unit, digits, definition: as those of a column.
        values: row id → value, of two or more rows that differ.
    """

    id: str
    title: str
    unit: str
    digits: int
    definition: str
    higher_is_better: bool
    values: dict[str, float] = field(hash=False)


def cost_axes(board: Board, costs: Sequence[CostRow]) -> list[CostAxis]:
    """The costs of the competing rows of a board, the one to start with first.

    Those of its own columns (published tables, adapters of LoRA) and those of its methods. A cost
    that is the same for all rows is omitted: it says nothing.
    """
    rows = [row for row in board.rows if not row.context]
    axes = []
    # Its own columns; those of `with_cost_columns` follow with all costs of the methods.
    for index, column in enumerate(board.columns):
        of_methods = column.dataset == COST and column.metric in DEFINITIONS
        if of_methods or column.metric not in (*_PUBLISHED, *DEFINITIONS):
            continue
        values = {r.id: cell.summary.mean for r in rows if (cell := r.cells[index]) is not None}
        title = column.label if column.dataset == COST else column.title
        better = column.metric in HIGHER_IS_BETTER
        about = (title, column.unit, column.digits, column.definition, better)
        axes.append(CostAxis(column.id, *about, values))
    on_board = {row.method for row in rows}
    for one in comparable_costs([row for row in costs if row.method in on_board]):
        quantity = METRICS[one.metric]
        values = {row.id: one.values[row.method] for row in rows if row.method in one.values}
        about = (quantity.label, quantity.unit, quantity.digits, one.definition)
        axes.append(CostAxis(one.metric, *about, one.higher_is_better, values))
    axes = [axis for axis in axes if len(set(axis.values.values())) > 1]

    def order(axis: CostAxis) -> int:
        metric = axis.id.rpartition("/")[2]
        return _FIRST.index(metric) if metric in _FIRST else len(_FIRST)

    return sorted(axes, key=order)


def pareto_front(
    points: Sequence[tuple[float, float]], cost_rises: bool = True, score_rises: bool = True
) -> list[bool]:
    """Whether each point is on the Pareto front.

    A point is on it unless another one is at least as good in both values and better in one; equal
    points are on it together.

    Args:
        points: (cost, score) of each row, finite.
        cost_rises: whether a higher first value costs more; images per second cost less.
        score_rises: whether a higher second value is better.
    """
    signed = [
        (cost if cost_rises else -cost, -score if score_rises else score) for cost, score in points
    ]
    on_front, best = set(), None
    # By ascending cost, of equal cost the best first: each has to beat all before it.
    for point in sorted(set(signed)):
        if best is None or point[1] < best:
            on_front.add(point)
            best = point[1]
    return [point in on_front for point in signed]
