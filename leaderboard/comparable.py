"""What must not mix: records are averaged, ranked and tested only if they are comparable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from benchmark.errors import InputError
from benchmark.results import RunRecord, config_hash, path_of


def check_comparable(records: Sequence[RunRecord], protocol: str) -> None:
    """Refuse records that were not obtained in the same way.

    Raises:
        InputError: a record of another protocol; the same run twice; a method with two titles,
            families or pre-training datasets; a dataset with two tasks, split hashes, numbers of
            scored images or definitions of a metric. Names both values and both files.
    """
    for record in records:
        if record.protocol != protocol:
            raise InputError(
                f"protocols must not mix: {path_of(record).as_posix()} on a board of {protocol}"
            )
    for runs in _groups(records, lambda r: (r.method, r.dataset, r.seed)).values():
        if len(runs) > 1:
            raise InputError(f"{path_of(runs[0]).as_posix()}: the same run is given twice")
    for method, runs in _groups(records, lambda r: r.method).items():
        _require_equal(
            runs,
            f"{method}: title, family and pre-training dataset",
            lambda r: (r.title, r.family, r.pretraining),
        )
    for dataset, runs in _groups(records, lambda r: r.dataset).items():
        _require_equal(runs, f"{dataset}: tasks", lambda r: r.task)
        _require_equal(runs, f"{dataset}: split hashes", lambda r: r.split_hash)
        _require_equal(runs, f"{dataset}: numbers of scored images", lambda r: r.n_images)
        for metric in sorted({name for run in runs for name in run.metrics}):
            _require_equal(
                [run for run in runs if metric in run.metrics],
                f"{dataset}: definitions of {metric}",
                lambda r, metric=metric: (
                    r.metrics[metric].definition,
                    "higher" if r.metrics[metric].higher_is_better else "lower",
                ),
            )


def mixed_cells(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """(method, dataset) whose runs differ in more than the seed, so ± is not its spread alone."""
    cells = _groups(records, lambda r: (r.method, r.dataset))
    return [
        cell
        for cell, (first, *others) in cells.items()
        if not all(_differ_in_seed_only(first, other) for other in others)
    ]


def _differ_in_seed_only(run: RunRecord, other: RunRecord) -> bool:
    """Whether two runs differ only in the seed and in what does not change the result."""
    if run.corpus_hash != other.corpus_hash:
        return False
    # Nearly always only this key differs, and comparing is much faster than hashing.
    without_seed = [{k: v for k, v in r.config.items() if k != "seed"} for r in (run, other)]
    if without_seed[0] == without_seed[1]:
        return True
    hashes = [config_hash(r.config, also_drop=("seed", "seeds")) for r in (run, other)]
    return hashes[0] == hashes[1]


def _groups(
    records: Sequence[RunRecord], key: Callable[[RunRecord], Any]
) -> dict[Any, list[RunRecord]]:
    groups: dict[Any, list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    return groups


def _require_equal(
    records: Sequence[RunRecord], what: str, value: Callable[[RunRecord], Any]
) -> None:
    """Raise an InputError that names the first two different values and their files."""
    first = records[0]
    for other in records[1:]:
        if value(other) != value(first):
            raise InputError(
                f"{what} must not mix: {value(first)} in {path_of(first).as_posix()}, "
                f"{value(other)} in {path_of(other).as_posix()}"
            )
