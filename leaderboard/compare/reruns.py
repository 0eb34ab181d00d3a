"""Which cells of a board moved between two folders of results, and whether by more than noise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from benchmark.results import RunRecord, config_hash
from benchmark.results.schema import Metric
from leaderboard.columns import METRICS, Quantity
from leaderboard.statistics import (
    ALPHA,
    Summary,
    difference_text,
    holm,
    mean_std,
    p_number,
    rounding_error,
    rounds_to_zero,
    summarize,
    welch_p,
)

#: What else may differ between two records of one run: field → words.
_ORIGIN = {
    "config_hash": "settings",
    "split_hash": "split",
    "corpus_hash": "pre-training dataset",
    "encoder": "encoder",
}

#: States of cells that the other folder does not reproduce, as far as can be known.
NOT_REPEATED = {"moved", "noise unknown", "other definition", "only in A", "only in B"}

NOISE = (
    "moved: p < 0.05 over the seeds, Holm-corrected (Welch's t-test; of a single run against "
    "several, the t-test with pooled variance)"
)


@dataclass(frozen=True, slots=True)
class Rerun:
    """One headline metric of one cell in two folders of results.

    Attributes:
        place: protocol, method, dataset and metric.
        before, after: over the seeds of each folder; None where it has no such cell.
        equal: whether both have common seeds, and bit-identical values for all of them.
        p: two-sided p-value of `moved_p`, corrected by Holm over the cells that are not equal;
            None where it is undefined or nothing is to be tested.
        other_definition: whether the two are different measurements, which do not compare.
        origin: what else differs between the records, such as ``"settings"``.
    """

    place: tuple[str, str, str, str]
    before: Summary | None
    after: Summary | None
    equal: bool = False
    p: float | None = None
    other_definition: bool = False
    origin: tuple[str, ...] = ()

    @property
    def difference(self) -> float | None:
        """After minus before, in the unit of the metric; None where they do not compare."""
        if self.before is None or self.after is None or self.other_definition:
            return None
        return self.after.mean - self.before.mean

    @property
    def digits(self) -> int:
        """Number of decimals in print."""
        return METRICS.get(self.place[3], Quantity("")).digits

    @property
    def state(self) -> str:
        """``equal``, ``within noise`` or one of `NOT_REPEATED`."""
        if self.difference is None:
            missing = "only in A" if self.after is None else "only in B"
            return "other definition" if self.other_definition else missing
        if self.equal:
            return "equal"
        if self.p is None:
            return "noise unknown"
        moved = self.p < ALPHA and not rounds_to_zero(self.difference, self.digits)
        return "moved" if moved else "within noise"


def compare_reruns(before: Sequence[RunRecord], after: Sequence[RunRecord]) -> list[Rerun]:
    """Every headline metric of every cell of the two, in the order of their ids."""
    old, new = _by_cell(before), _by_cell(after)
    reruns = [
        rerun
        for cell in sorted(old.keys() | new.keys())
        for rerun in _compare(cell, old.get(cell, {}), new.get(cell, {}))
    ]
    p_values = holm([rerun.p for rerun in reruns])
    return [replace(rerun, p=p) for rerun, p in zip(reruns, p_values)]


def describe(rerun: Rerun) -> tuple[str, ...]:
    """The texts of a row: cell, metric, A, B, difference, p-value, state and what else differs."""
    state = f"{rerun.state} ({', '.join(rerun.origin)} differ)" if rerun.origin else rerun.state
    return (
        "/".join(rerun.place[:3]),
        rerun.place[3],
        *(
            "" if side is None else f"{mean_std(side, rerun.digits)} (n = {side.n})"
            for side in (rerun.before, rerun.after)
        ),
        "" if rerun.difference is None else difference_text(rerun.difference, rerun.digits),
        "" if rerun.p is None else p_number(rerun.p),
        state,
    )


def moved_p(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Two-sided p-value of a difference between the means over seeds.

    The seeds are not paired: on another platform a run with the same seed soon goes its own way,
    and on the same one it is equal. Welch's t-test; a single run is compared with the spread of the
    others, which is the t-test with pooled variance (Crawford and Howell, Clin. Neuropsychol. 12,
    1998). None where neither has a spread.
    """
    few, many = sorted((before, after), key=len)
    if len(few) != 1 or len(many) < 2:
        return welch_p(before, after)
    values = np.asarray(many, dtype=np.float64)
    if np.ptp(values) <= rounding_error(np.abs(values).max()):
        return None
    spread = values.std(ddof=1) * math.sqrt(1 + 1 / len(values))
    return float(2 * special.stdtr(len(values) - 1, -abs(few[0] - values.mean()) / spread))


def _by_cell(records: Sequence[RunRecord]) -> dict[tuple[str, str, str], dict[int, RunRecord]]:
    cells: dict[tuple[str, str, str], dict[int, RunRecord]] = defaultdict(dict)
    for record in records:
        cells[record.protocol, record.method, record.dataset][record.seed] = record
    return cells


def _compare(
    cell: tuple[str, str, str], before: Mapping[int, RunRecord], after: Mapping[int, RunRecord]
) -> list[Rerun]:
    origin = tuple(words for field, words in _ORIGIN.items() if _differ(field, before, after))
    sides = [{seed: _headline(run) for seed, run in runs.items()} for runs in (before, after)]
    reruns = []
    for name in sorted({name for runs in sides for metrics in runs.values() for name in metrics}):
        both = [{k: metrics[name] for k, metrics in r.items() if name in metrics} for r in sides]
        old, new = ([metric.value for metric in metrics.values()] for metrics in both)
        common = both[0].keys() & both[1].keys()
        equal = bool(common) and all(both[0][k].value == both[1][k].value for k in common)
        other = len({metric.definition for side in both for metric in side.values()}) > 1
        reruns.append(
            Rerun(
                place=(*cell, name),
                before=summarize(old) if old else None,
                after=summarize(new) if new else None,
                equal=equal and not other,
                p=None if equal or other or not old or not new else moved_p(old, new),
                other_definition=other,
                origin=origin,
            )
        )
    return reruns


def _differ(field: str, before: Mapping[int, RunRecord], after: Mapping[int, RunRecord]) -> bool:
    """Whether a field of `_ORIGIN` differs in the seeds that both have.

    Without common seeds, whether all runs of one differ from those of the other; not of the
    encoder, since every seed may have its own.
    """
    if shared := before.keys() & after.keys():
        return any(getattr(before[k], field) != getattr(after[k], field) for k in shared)
    if field == "encoder":
        return False

    def value(run: RunRecord) -> str | None:
        if field == "config_hash":
            return config_hash(run.config, also_drop=("seed", "seeds"))
        return getattr(run, field)

    old, new = ({value(run) for run in runs.values()} for runs in (before, after))
    return bool(old and new) and old.isdisjoint(new)


def _headline(run: RunRecord) -> dict[str, Metric]:
    return {name: metric for name, metric in run.metrics.items() if metric.headline}
