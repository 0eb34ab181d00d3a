"""From result records to the board: cells, ranks and tests, as a pure function of the records.

Nothing is averaged that was not measured in the same way: records of different protocols, splits,
numbers of images or metric definitions are refused, not mixed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.engine.records import RunRecord, path_of, science_hash
from benchmark.errors import InputError
from leaderboard.statistics import (
    PairedT,
    Summary,
    average_rank,
    competition_ranks,
    holm,
    overall_paired_t,
    pair_by_seed,
    paired_t,
    summary,
)

#: Order of the columns, as in the journal's tables; what is not named here follows, by name.
DATASET_ORDER = ("arcade_v", "caxf", "xcav", "arcade_s", "arcade_vs", "stenosis", "denoising")
METRIC_ORDER = ("dsc", "cldice", "map50", "map75", "map", "psnr", "ssim")

_OTHER_UNITS = ("psnr", "ssim")

#: A Holm-adjusted p-value below this is called a difference.
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of one dataset."""

    dataset: str
    metric: str
    definition: str
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """One method in one column.

    Attributes:
        summary: mean and sample standard deviation over the seeds, in the metric's units.
        seeds: the seeds behind it, ascending.
        place: rank among all methods with this cell (marks the best and the second in print).
        rank: rank among the complete rows; None for an incomplete row.
    """

    summary: Summary
    seeds: tuple[int, ...]
    place: int
    rank: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One method; `cells` follow the board's columns, None where nothing was measured."""

    method: str
    title: str
    family: str
    pretraining: str
    cells: tuple[Cell | None, ...]
    average_rank: Summary | None

    @property
    def complete(self) -> bool:
        return None not in self.cells


@dataclass(frozen=True, slots=True)
class Comparison:
    """One method against the reference, in one column or (column None) over all columns.

    Attributes:
        test: difference is method minus reference; see `PairedT`.
        p_holm: p-value adjusted within its family; None where the test is undefined.
        verdict: ``"better"``, ``"worse"``, ``"not separable"``, or the words of an undefined test.
    """

    method: str
    title: str
    column: Column | None
    test: PairedT
    p_holm: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Board:
    """Everything the tables print.

    Attributes:
        reference_title: name of the reference as printed; None if it has no records.
        comparisons: every other method against the reference, in the order of columns and rows.
        overall: the papers' overall test of every complete row against the reference.
        mixed: (method, dataset) whose seeds come from more than one configuration or corpus.
        problems: files that were left out, one line each.
    """

    title: str
    protocol: str
    reference: str
    reference_title: str | None
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    overall: tuple[Comparison, ...]
    mixed: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]


Values = dict[tuple[str, Column], dict[int, float]]  # (method, column) → seed → value


def build_board(
    records: Sequence[RunRecord],
    reference: str,
    protocol: str,
    *,
    title: str = "Leaderboard",
    problems: Iterable[str] = (),
) -> Board:
    """Build the board of one protocol.

    Columns are the metrics of the datasets in a fixed order. Ranks are taken per column among the
    complete rows (ties share the better rank); rows are sorted by their average rank, incomplete
    ones last, by title. Every other method is compared with `reference` in every column by a
    paired t-test over their common seeds; Holm's correction runs over all defined tests of one
    dataset. The order of `records` does not matter.

    Args:
        records: records of `protocol` only.
        reference: id of the pre-declared reference method; without records of it, no tests.
        problems: files left out by the reader, to be printed.

    Raises:
        InputError: no records, a record of another protocol, the same run twice, or records that
            must not mix; names both values and both files.
    """
    if not records:
        raise InputError("a board needs at least one record")
    records = sorted(records, key=lambda record: (record.method, record.dataset, record.seed))
    _check_comparable(records, protocol)
    columns = _columns(records)
    values = _values(records, columns)
    rows = _rows(records, columns, values)
    comparisons = _comparisons(rows, columns, values, reference)
    return Board(
        title=title,
        protocol=protocol,
        reference=reference,
        reference_title=next((row.title for row in rows if row.method == reference), None),
        columns=columns,
        rows=rows,
        comparisons=comparisons,
        overall=_overall(rows, columns, reference),
        mixed=_mixed(records),
        problems=tuple(problems),
    )


def _mixed(records: Sequence[RunRecord]) -> tuple[tuple[str, str], ...]:
    """Cells whose ± is more than the spread over seeds, because more than the seed differs."""

    def recipe(record: RunRecord) -> tuple[str, str | None]:
        return science_hash(record.config, also_drop=("seed", "seeds")), record.corpus_hash

    cells = _groups(records, lambda r: (r.method, r.dataset))
    return tuple(cell for cell, runs in cells.items() if len(set(map(recipe, runs))) > 1)


def _place(value: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(value) if value in order else len(order), value)


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


def _check_comparable(records: Sequence[RunRecord], protocol: str) -> None:
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
            f"{method}: title, family and pre-training corpus",
            lambda r: (r.title, r.family, r.pretraining),
        )
    for dataset, runs in _groups(records, lambda r: r.dataset).items():
        _require_equal(runs, f"{dataset}: split hashes", lambda r: r.split_hash)
        _require_equal(runs, f"{dataset}: numbers of scored images", lambda r: r.n_images)
        for metric in sorted({name for run in runs for name in run.metrics}):
            _require_equal(
                [run for run in runs if metric in run.metrics],
                f"{dataset}: definitions of {metric}",
                lambda r, metric=metric: (
                    r.metrics[metric]["definition"],
                    "higher" if r.metrics[metric]["higher_is_better"] else "lower",
                ),
            )


def _headlines(record: RunRecord) -> dict[str, dict[str, Any]]:
    """The metrics that make a column; the others are kept for those who read the records."""
    return {n: entry for n, entry in record.metrics.items() if entry.get("headline", True)}


def _column(record: RunRecord, metric: str) -> Column:
    entry = record.metrics[metric]
    return Column(record.dataset, metric, entry["definition"], entry["higher_is_better"])


def _columns(records: Sequence[RunRecord]) -> tuple[Column, ...]:
    found = {_column(record, metric) for record in records for metric in _headlines(record)}
    return tuple(
        sorted(
            found, key=lambda c: (_place(c.dataset, DATASET_ORDER), _place(c.metric, METRIC_ORDER))
        )
    )


def _values(records: Sequence[RunRecord], columns: Sequence[Column]) -> Values:
    values: Values = defaultdict(dict)
    for record in records:
        for metric, entry in _headlines(record).items():
            values[record.method, _column(record, metric)][record.seed] = entry["value"]
    return dict(values)


def _rows(
    records: Sequence[RunRecord], columns: Sequence[Column], values: Values
) -> tuple[Row, ...]:
    methods = {record.method: record for record in records}
    summaries = {key: summary(list(runs.values())) for key, runs in values.items()}
    complete = {m for m in methods if all((m, column) in summaries for column in columns)}
    cells: dict[str, list[Cell | None]] = {method: [] for method in methods}
    for column in columns:
        found = [summaries.get((method, column)) for method in methods]
        means = [cell.mean if cell else None for cell in found]
        pool = [mean if method in complete else None for method, mean in zip(methods, means)]
        places = competition_ranks(means, column.higher_is_better)
        ranks = competition_ranks(pool, column.higher_is_better)
        for method, cell, place, rank in zip(methods, found, places, ranks):
            seeds = tuple(sorted(values.get((method, column), ())))
            cells[method].append(Cell(cell, seeds, place, rank) if cell else None)
    averages = average_rank([[cell and cell.rank for cell in row] for row in cells.values()])
    rows = [
        Row(method, record.title, record.family, record.pretraining, tuple(cells[method]), average)
        for (method, record), average in zip(methods.items(), averages)
    ]

    def by_rank(row: Row) -> tuple[bool, float, str, str]:
        average = row.average_rank
        return (average is None, average.mean if average else 0.0, row.title, row.method)

    return tuple(sorted(rows, key=by_rank))


def _verdict(test: PairedT, p_holm: float | None, higher_is_better: bool) -> str:
    if p_holm is None:
        return test.note
    if p_holm >= ALPHA:
        return "not separable"
    return "better" if (test.difference > 0) == higher_is_better else "worse"


def _corrected(family: Sequence[tuple[Row, Column | None, PairedT]]) -> list[Comparison]:
    """One Holm family: the tests become comparisons with adjusted p-values and verdicts."""
    adjusted = holm([test.p for _, _, test in family])
    return [
        Comparison(
            row.method,
            row.title,
            column,
            test,
            p_holm,
            _verdict(test, p_holm, column is None or column.higher_is_better),
        )
        for (row, column, test), p_holm in zip(family, adjusted)
    ]


def _comparisons(
    rows: Sequence[Row], columns: Sequence[Column], values: Values, reference: str
) -> tuple[Comparison, ...]:
    families: dict[str, list[tuple[Row, Column | None, PairedT]]] = defaultdict(list)
    for column in columns:
        base = values.get((reference, column))
        if base is None:
            continue
        for row in rows:
            runs = values.get((row.method, column))
            if row.method != reference and runs is not None:
                pairing = pair_by_seed(runs, base)
                test = paired_t(pairing.a, pairing.b)
                families[column.dataset].append((row, column, test))
    return tuple(c for family in families.values() for c in _corrected(family))


def _overall(
    rows: Sequence[Row], columns: Sequence[Column], reference: str
) -> tuple[Comparison, ...]:
    """Complete rows only: every pair of methods is then compared over the same columns.

    Those of segmentation and detection, as in the papers: decibels do not add up with percentages.
    """

    def means(row: Row) -> list[float]:
        # Turned so that a positive difference speaks for the method in every column.
        return [
            cell.summary.mean * (1 if column.higher_is_better else -1)
            for cell, column in zip(row.cells, columns)
            if column.metric not in _OTHER_UNITS
        ]

    if all(column.metric in _OTHER_UNITS for column in columns):
        return ()

    base = next((row for row in rows if row.method == reference and row.complete), None)
    if base is None:
        return ()
    others = [row for row in rows if row.complete and row.method != reference]
    tests = [(row, None, overall_paired_t(means(row), means(base))) for row in others]
    return tuple(_corrected(tests))
